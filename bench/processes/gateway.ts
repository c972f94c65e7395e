import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type {
  Creation,
  GatewayMessage,
  GatewayOptions,
  GatewayOrder,
} from '../support/gateway-process.ts';
import { account, terminal } from '../support/tokenization-request.ts';

/**
 * A gateway that answers creations and queries, and does nothing else: it must cost little CPU,
 * since it shares the machine with the workers. The parent process gives orders over the channel.
 */
const { delayMs = [0, 0], answers = 'token' } = JSON.parse(
  process.argv[2] ?? '{}',
) as GatewayOptions;

/** The creations since the parent process last set the counters to zero. */
const creations: Creation[] = [];
let answered = 0;
let expected = 0;
/** The creations by each reference under which a worker may query. */
const known = new Map<string, Creation>();
let lastOrder = 10_000_000_000;

interface RequestBody {
  readonly order?: { readonly notifyUrl?: string; readonly referenceId?: string };
  readonly merchant?: { readonly referenceId: string };
  readonly quickpay?: { readonly id: string };
}

const server = createServer((request, response) => {
  void answer(request, response);
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) text += String(chunk);
  const body = JSON.parse(text) as RequestBody;
  const isCreation = request.url === '/pg/quickPay/create';
  const data = isCreation ? create(body) : query(body);
  const [min, max] = delayMs;
  if (max > 0) await setTimeout(min + Math.random() * (max - min));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ code: '000', message: 'SUCCESS', data }));
  if (!isCreation) return;
  answered += 1;
  if (answered === expected) tell({ kind: 'answered' });
}

function create({ order, merchant }: RequestBody): object {
  lastOrder += 1;
  const creation: Creation = {
    reference: merchant?.referenceId ?? '',
    orderReferenceId: String(lastOrder),
    quickpayId: `qp${lastOrder}`,
    notifyUrl: order?.notifyUrl ?? '',
    calledAtMs: performance.timeOrigin + performance.now(),
  };
  creations.push(creation);
  const { reference, orderReferenceId, quickpayId } = creation;
  for (const name of [reference, orderReferenceId, quickpayId]) known.set(name, creation);
  return {
    merchant: { referenceId: reference },
    order: { referenceId: orderReferenceId },
    ...(answers === 'page'
      ? { url: 'http://127.0.0.1/page' }
      : { quickPay: { id: quickpayId, status: 1 } }),
  };
}

/** A query finds the token of a known creation; a check of the account finds nothing. */
function query({ order, merchant, quickpay }: RequestBody): object {
  const name = order?.referenceId ?? merchant?.referenceId ?? quickpay?.id ?? '';
  const creation = known.get(name);
  if (creation === undefined) return {};
  return {
    account,
    terminal,
    merchant: { referenceId: creation.reference },
    order: { referenceId: creation.orderReferenceId },
    quickpay: { id: creation.quickpayId, status: '1', expiryTime: '2099-01-01' },
  };
}

function tell(message: GatewayMessage): void {
  process.send?.(message);
}

process.on('message', (order: GatewayOrder) => {
  if (order.kind === 'report') {
    tell({ kind: 'report', creations });
    return;
  }
  creations.length = 0;
  known.clear();
  answered = 0;
  expected = order.calls;
  tell({ kind: 'ready' });
});
// The gateway ends with its parent.
process.on('disconnect', () => process.exit());

server.listen(0, '127.0.0.1', () => {
  tell({ kind: 'up', port: (server.address() as AddressInfo).port });
});
