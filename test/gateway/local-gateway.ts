import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/** A request as it came over the wire. */
export interface SeenCall {
  readonly path: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A real HTTP server in the gateway's place, and what it was sent. */
export interface LocalGateway {
  readonly url: string;
  readonly calls: readonly SeenCall[];
  readonly close: () => Promise<void>;
}

/** Starts a server on the loopback interface; `answer` runs once the request has been read to its end. */
export async function startLocalGateway(
  answer: (response: ServerResponse) => void,
): Promise<LocalGateway> {
  const calls: SeenCall[] = [];
  const server = createServer((incoming, response) => {
    void text(incoming).then((body) => {
      calls.push({ path: incoming.url, headers: incoming.headers, body });
      answer(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An answer of JSON, or of any text. */
export function answering(body: unknown, status = 200): (response: ServerResponse) => void {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}
