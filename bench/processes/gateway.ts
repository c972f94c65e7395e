import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GatewayMessage, GatewayOrder } from '../support/gateway-process.ts';

/**
 * A gateway that answers each creation with a token, and nothing else: it must cost little CPU,
 * since it shares the machine with the workers. The parent process gives orders over the channel.
 */
const [delayMinMs = 0, delayMaxMs = 0] = process.argv.slice(2).map(Number);

/** The creations since the last order. */
let seen = 0;
let answered = 0;
let expected = 0;
let firstAtMs = 0;
const calledAtMs = new Map<string, number>();

const server = createServer((request, response) => {
  // The product checks its account when it starts.
  if (request.url !== '/pg/quickPay/create') reply(response, { code: '000', message: 'SUCCESS' });
  else void create(request, response);
});

async function create(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) text += String(chunk);
  const { merchant } = JSON.parse(text) as { merchant: { referenceId: string } };
  const now = performance.timeOrigin + performance.now();
  if (seen === 0) firstAtMs = now;
  seen += 1;
  calledAtMs.set(merchant.referenceId, now);
  if (delayMaxMs === 0) answer(response, merchant.referenceId);
  else
    setTimeout(
      () => answer(response, merchant.referenceId),
      delayMinMs + Math.random() * (delayMaxMs - delayMinMs),
    );
}

function answer(response: ServerResponse, referenceId: string): void {
  reply(response, {
    code: '000',
    message: 'SUCCESS',
    data: {
      merchant: { referenceId },
      order: { referenceId: randomUUID() },
      quickPay: { id: randomUUID(), status: 1 },
    },
  });
  answered += 1;
  if (answered === expected) tell({ kind: 'answered' });
}

function reply(response: ServerResponse, body: object): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(body));
}

function tell(message: GatewayMessage): void {
  process.send?.(message);
}

process.on('message', (order: GatewayOrder) => {
  if (order.kind === 'report') {
    tell({ kind: 'report', calls: seen, firstAtMs, calledAtMs: [...calledAtMs] });
    return;
  }
  seen = 0;
  answered = 0;
  calledAtMs.clear();
  expected = order.calls;
  tell({ kind: 'ready' });
});
// The gateway ends with its parent.
process.on('disconnect', () => process.exit());

server.listen(0, '127.0.0.1', () => {
  tell({ kind: 'up', port: (server.address() as AddressInfo).port });
});
