import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { openConnection, type Connection } from '../../src/client/connection.ts';

/**
 * One answer of a proxy or worker in trouble: a status, with the headers it has; `cut` hangs up instead. `cut_inside` and `stalled` get
 * as far as half a body.
 */
type Trouble =
  | { readonly status: number; readonly retryAfter?: string }
  | 'cut'
  | 'silent'
  | 'cut_inside'
  | 'stalled';

const open: { close: () => void }[] = [];

afterEach(() => {
  for (const closable of open.splice(0)) closable.close();
});

/** A place between client and worker that is in trouble first and well from then on. */
async function placeInTrouble(troubles: readonly Trouble[]) {
  const left = [...troubles];
  const seen: { method: string | undefined; key: string | undefined; body: string }[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      seen.push({ method: request.method, key: request.headers.authorization, body });
      const trouble = left.shift();
      if (trouble === 'cut') request.socket.destroy();
      else if (trouble === undefined) response.end('{"ok":true}');
      else if (trouble === 'cut_inside' || trouble === 'stalled') {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '11' });
        response.write('{"ok"', () => {
          if (trouble === 'cut_inside') request.socket.destroy();
        });
      } else if (trouble !== 'silent') {
        const { status, retryAfter } = trouble;
        response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter });
        response.end('<h1>no problem of ours</h1>');
      }
    });
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const connect = (timeoutMs = 5_000): Connection =>
    openConnection({ url: `http://127.0.0.1:${port}/base`, apiKey: 'k', timeoutMs });
  return { seen, connect };
}

const idempotent = { method: 'post', path: 'x', body: { a: 1 }, isIdempotent: true } as const;
const once = { ...idempotent, isIdempotent: false } as const;

describe('a call that says the same twice', () => {
  test.for<readonly [string, Trouble]>([
    ['a worker without its database', { status: 503, retryAfter: '0' }],
    ['a limit', { status: 429, retryAfter: '0' }],
    ['a proxy that gave up', { status: 504 }],
    ['a connection that broke', 'cut'],
    ['a connection that broke inside the answer', 'cut_inside'],
  ])('is sent again after %s, whole and with its key', async ([, trouble]) => {
    const { seen, connect } = await placeInTrouble([trouble]);
    expect(await connect()(idempotent)).toEqual({ ok: true });
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual({ method: 'POST', key: 'Bearer k', body: '{"a":1}' });
  });

  test.for(['silent', 'stalled'] as const)(
    'is sent again after no answer, or half of one (%s)',
    async (trouble) => {
      const { seen, connect } = await placeInTrouble([trouble]);
      expect(await connect(200)(idempotent)).toEqual({ ok: true });
      expect(seen).toHaveLength(2);
    },
  );

  test('is given up after a few attempts', async () => {
    const trouble = { status: 503, retryAfter: '0' };
    const { seen, connect } = await placeInTrouble(Array.from({ length: 9 }, () => trouble));
    await expect(connect()(idempotent)).rejects.toMatchObject({
      code: 'answer_invalid',
      status: 503,
      isRetryable: true,
    });
    expect(seen).toHaveLength(4);
  });

  test.for([400, 401, 403, 404, 409, 500])('is not sent again after %i', async (status) => {
    const { seen, connect } = await placeInTrouble([{ status }]);
    await expect(connect()(idempotent)).rejects.toMatchObject({ status });
    expect(seen).toHaveLength(1);
  });
});

describe('a call that leaves a trace each time', () => {
  test.for<readonly [string, Trouble, string]>([
    ['a proxy that gave up', { status: 504 }, 'answer_invalid'],
    ['a connection that broke', 'cut', 'network'],
    ['no answer', 'silent', 'timeout'],
    ['a connection that broke inside the answer', 'cut_inside', 'network'],
    ['half an answer', 'stalled', 'timeout'],
  ])('is not sent again after %s: it may have arrived', async ([, trouble, code]) => {
    const { seen, connect } = await placeInTrouble([trouble]);
    await expect(connect(200)(once)).rejects.toMatchObject({ code, isRetryable: true });
    expect(seen).toHaveLength(1);
  });

  test('is sent again after an answer that says it was not done', async () => {
    const { seen, connect } = await placeInTrouble([{ status: 503, retryAfter: '0' }]);
    expect(await connect()(once)).toEqual({ ok: true });
    expect(seen).toHaveLength(2);
  });
});

test('a redirect is not followed: it would carry the key elsewhere', async () => {
  const { seen, connect } = await placeInTrouble([{ status: 307 }]);
  await expect(connect()({ ...once, method: 'get', body: undefined })).rejects.toMatchObject({
    name: 'TokenClientError',
  });
  expect(seen).toHaveLength(1);
});
