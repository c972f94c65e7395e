import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/**
 * One answer of a proxy or worker in trouble: a status, with the headers and the body it has. `cut` hangs up instead, `silent` says
 * nothing, `cut_inside` and `stalled` get as far as half a body.
 */
export type Trouble =
  | {
      readonly status: number;
      readonly retryAfter?: string;
      readonly location?: string;
      readonly body?: object;
    }
  | 'cut'
  | 'silent'
  | 'cut_inside'
  | 'stalled';

/** A request as it came. */
export interface SeenRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly key: string | undefined;
  readonly body: string;
}

/** A place between client and worker, until the test ends: in these troubles first, and from then on it gives `well`. */
export async function openFaultyServer(
  troubles: readonly Trouble[],
  well: Trouble = { status: 200, body: { ok: true } },
): Promise<{ readonly seen: readonly SeenRequest[]; readonly url: string }> {
  const left = [...troubles];
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { method, url: path, headers } = request;
      seen.push({ method, path, key: headers.authorization, body });
      give(left.shift() ?? well, request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { seen, url: `http://127.0.0.1:${port}` };
}

function give(trouble: Trouble, request: IncomingMessage, response: ServerResponse): void {
  if (trouble === 'silent') return;
  if (trouble === 'cut') {
    request.socket.destroy();
    return;
  }
  if (trouble === 'cut_inside' || trouble === 'stalled') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '11' });
    response.write('{"ok"', () => {
      if (trouble === 'cut_inside') request.socket.destroy();
    });
    return;
  }
  const { status, retryAfter, location, body } = trouble;
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  if (location !== undefined) response.setHeader('location', location);
  response.writeHead(status);
  response.end(body === undefined ? '<h1>no problem of ours</h1>' : JSON.stringify(body));
}
