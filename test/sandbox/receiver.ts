import { createServer } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** A push that the receiver got. */
export interface ReceivedPush {
  readonly contentType: string;
  readonly body: string;
}

/** A merchant's notify endpoint that records every push. */
export interface Receiver {
  readonly url: string;
  readonly pushes: ReceivedPush[];
  /** The answer to each push, an acknowledgement unless a test changes it. */
  answer: { status: number; body: string };
  close(): Promise<void>;
}

/** Starts a receiver on a free port. */
export async function startReceiver(): Promise<Receiver> {
  const pushes: ReceivedPush[] = [];
  const receiver = { answer: { status: 200, body: 'receive-ok' } };
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      pushes.push({ contentType: request.headers['content-type'] ?? '', body });
      response.writeHead(receiver.answer.status).end(receiver.answer.body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The receiver has no port.');
  return Object.assign(receiver, {
    url: `http://127.0.0.1:${address.port}/notify`,
    pushes,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
}
