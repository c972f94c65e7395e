import { afterEach } from 'vitest';
import {
  createPublicServer,
  type HttpServer,
  type PublicPorts,
  type ReceivedCallback,
} from '../../src/http/public-server.ts';
import type { Logger } from '../../src/observability/logger.ts';

const open: HttpServer[] = [];
/** Options of a listener without limits that matter to a test. */
export const closed = {
  host: '127.0.0.1',
  port: 0,
  trustProxy: false,
  requestsPerMinuteMax: 3_000,
  acknowledgement: 'receive-ok',
  notifySources: undefined,
} as const;

afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

/** A public listener with stub ports, and what they were called with. */
interface Started {
  readonly url: string;
  readonly received: ReceivedCallback[];
  readonly counted: string[];
  readonly logged: { fields: object; message: string }[];
}

/** Starts a public listener; the end of the test closes it. */
export async function start(
  answer: PublicPorts['receiveCallback'] = async () => ({ verdict: 'kept', returnUrl: undefined }),
  options: Partial<Parameters<typeof createPublicServer>[0]> = {},
  receiveUnstorable: PublicPorts['receiveUnstorable'] = async () => undefined,
): Promise<Started> {
  const received: ReceivedCallback[] = [];
  const counted: string[] = [];
  const logged: { fields: object; message: string }[] = [];
  const keep = (fields: object, message: string): void => void logged.push({ fields, message });
  const logger: Logger = { debug: keep, info: keep, warn: keep, error: keep, fatal: keep };
  const server = createPublicServer(
    { ...closed, ...options },
    {
      receiveCallback: async (message) => {
        received.push(message);
        return await answer(message);
      },
      receiveUnstorable,
      countCallback: (channel, result) => counted.push(`${channel} ${result}`),
      logger,
    },
  );
  open.push(server);
  return { url: (await server.listen()).url, received, counted, logged };
}

/** Posts without following the answer's redirect. */
export async function post(
  url: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
) {
  return await fetch(url, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : new Uint8Array(body),
    redirect: 'manual',
  });
}
