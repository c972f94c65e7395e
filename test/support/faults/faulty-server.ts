import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/**
 * A faulty answer: a status with headers and a body, or a network fault. `cut` closes the
 * connection, `silent` sends no answer, `cut_inside` closes it after half a body, `stalled` stops
 * there.
 */
export type FaultyAnswer =
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

/** A received request. */
export interface SeenRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly key: string | undefined;
  readonly body: string;
}

/**
 * Starts a server until the test ends that gives these faulty answers first, then `defaultAnswer`.
 */
export async function openFaultyServer(
  faultyAnswers: readonly FaultyAnswer[],
  defaultAnswer: FaultyAnswer = { status: 200, body: { ok: true } },
): Promise<{ readonly seen: readonly SeenRequest[]; readonly url: string }> {
  const left = [...faultyAnswers];
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { method, url: path, headers } = request;
      seen.push({ method, path, key: headers.authorization, body });
      sendAnswer(left.shift() ?? defaultAnswer, request, response);
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

function sendAnswer(
  answer: FaultyAnswer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (answer === 'silent') return;
  if (answer === 'cut') {
    request.socket.destroy();
    return;
  }
  if (answer === 'cut_inside' || answer === 'stalled') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '11' });
    response.write('{"ok"', () => {
      if (answer === 'cut_inside') request.socket.destroy();
    });
    return;
  }
  const { status, retryAfter, location, body } = answer;
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  if (location !== undefined) response.setHeader('location', location);
  response.writeHead(status);
  response.end(body === undefined ? '<h1>not a problem document</h1>' : JSON.stringify(body));
}
