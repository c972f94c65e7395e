import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One event as it arrived. */
export interface ReceivedEvent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One answer of the receiver. */
export interface ReceiverAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A merchant's backend. It answers with each of `answers` in turn, and with 204 after the last. */
export interface WebhookReceiver {
  readonly url: string;
  readonly port: number;
  readonly events: readonly ReceivedEvent[];
  readonly answers: ReceiverAnswer[];
  readonly close: () => Promise<void>;
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const events: ReceivedEvent[] = [];
  const answers: ReceiverAnswer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      );
      events.push({ headers, body: Buffer.concat(chunks).toString('utf8') });
      const { status, headers: extra = {}, body = '' } = answers.shift() ?? { status: 204 };
      response.writeHead(status, extra).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/events`,
    port,
    events,
    answers,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
