import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The demo's merchant backend. It counts each event once, however often it is delivered. */
export interface MerchantBackend {
  readonly url: string;
  readonly secret: string;
  readonly eventCount: () => number;
  readonly close: () => Promise<void>;
}

/** Starts the backend on this machine. Like a busy one it answers every tenth request with 503. */
export async function startMerchantBackend(): Promise<MerchantBackend> {
  const taken = new Set<string>();
  let arrivals = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      arrivals += 1;
      const isBusy = arrivals % 10 === 0;
      if (!isBusy) taken.add(String(request.headers['webhook-id']));
      response.writeHead(isBusy ? 503 : 204).end();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  // A TCP server's address is of this shape.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/events`,
    secret: `whsec_${randomBytes(32).toString('base64')}`,
    eventCount: () => taken.size,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
