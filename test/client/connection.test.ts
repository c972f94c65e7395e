import { afterEach, describe, expect, test, vi } from 'vitest';
import { openConnection, type Connection } from '../../src/client/connection.ts';
import {
  openFaultyServer as startFaultyServer,
  type SeenRequest,
  type FaultyAnswer,
} from '../support/faults/faulty-server.ts';

/** Starts a server that gives these faulty answers first, with a function to connect to it. */
async function openFaultyServer(faultyAnswers: readonly FaultyAnswer[]): Promise<{
  readonly seen: readonly SeenRequest[];
  readonly connect: (timeoutMs?: number) => Connection;
}> {
  const { seen, url } = await startFaultyServer(faultyAnswers);
  const connect = (timeoutMs = 5_000): Connection =>
    openConnection({ url: `${url}/base`, apiKey: 'k', timeoutMs });
  return { seen, connect };
}

const isAnswer = (body: unknown): body is object => typeof body === 'object' && body !== null;
const idempotent = {
  method: 'post',
  path: 'x',
  body: { a: 1 },
  isIdempotent: true,
  isAnswer,
} as const;
const notIdempotent = { ...idempotent, isIdempotent: false } as const;

/** A problem of a worker. */
const problemOf = (code: string): object => ({
  title: 'Not now',
  detail: 'Try again.',
  code,
  paths: [],
  isRetryable: true,
  requestId: 'r-1',
});

describe('idempotent call', () => {
  test.for<readonly [string, FaultyAnswer]>([
    ['a 503 of the worker', { status: 503, retryAfter: '0' }],
    ['a rate limit', { status: 429, retryAfter: '0' }],
    ['a proxy that gave up', { status: 504 }],
    ['a connection that broke', 'cut'],
    ['a connection that broke inside the answer', 'cut_inside'],
  ])('is retried after %s, with its body and key', async ([, faultyAnswer]) => {
    const { seen, connect } = await openFaultyServer([faultyAnswer]);
    expect(await connect()(idempotent)).toEqual({ ok: true });
    expect(seen).toHaveLength(2);
    const whole = { method: 'POST', path: '/base/v1/x', key: 'Bearer k', body: '{"a":1}' };
    expect(seen[1]).toEqual(whole);
  });

  test.for(['silent', 'stalled'] as const)(
    'is retried after a timeout (%s)',
    async (faultyAnswer) => {
      const { seen, connect } = await openFaultyServer([faultyAnswer]);
      expect(await connect(200)(idempotent)).toEqual({ ok: true });
      expect(seen).toHaveLength(2);
    },
  );

  test('fails after three retries', async () => {
    const faultyAnswer = { status: 503, retryAfter: '0' };
    const { seen, connect } = await openFaultyServer(Array.from({ length: 9 }, () => faultyAnswer));
    await expect(connect()(idempotent)).rejects.toMatchObject({
      code: 'answer_invalid',
      status: 503,
      isRetryable: true,
    });
    expect(seen).toHaveLength(4);
  });

  test('is not retried after access_token_unavailable, for which the worker already waited', async () => {
    const waited = { status: 503, retryAfter: '0', body: problemOf('access_token_unavailable') };
    const away = { status: 503, retryAfter: '0', body: problemOf('database_unavailable') };
    const { seen, connect } = await openFaultyServer([away, away, waited]);
    await expect(connect()(idempotent)).rejects.toMatchObject({
      code: 'access_token_unavailable',
      isRetryable: true,
    });
    expect(seen).toHaveLength(3);
  });

  test.for([400, 401, 403, 404, 409, 500])('is not retried after %i', async (status) => {
    const { seen, connect } = await openFaultyServer([{ status }]);
    await expect(connect()(idempotent)).rejects.toMatchObject({ status });
    expect(seen).toHaveLength(1);
  });
});

describe('call that is not idempotent', () => {
  test.for<readonly [string, FaultyAnswer, string]>([
    ['a proxy that gave up', { status: 504 }, 'answer_invalid'],
    ['a connection that broke', 'cut', 'network'],
    ['no answer', 'silent', 'timeout'],
    ['a connection that broke inside the answer', 'cut_inside', 'network'],
    ['half an answer', 'stalled', 'timeout'],
  ])('is not retried after %s, since it may have arrived', async ([, faultyAnswer, code]) => {
    const { seen, connect } = await openFaultyServer([faultyAnswer]);
    await expect(connect(200)(notIdempotent)).rejects.toMatchObject({ code, isRetryable: true });
    expect(seen).toHaveLength(1);
  });

  test('is retried after an answer that says it had no effect', async () => {
    const { seen, connect } = await openFaultyServer([{ status: 503, retryAfter: '0' }]);
    expect(await connect()(notIdempotent)).toEqual({ ok: true });
    expect(seen).toHaveLength(2);
  });
});

test.for([
  'http://worker?a=1',
  'http://worker/base/?',
  'http://worker/#top',
  'http://user:pass@worker',
])('a worker URL to which no path can be appended is refused: %s', (url) => {
  expect(() => openConnection({ url, apiKey: 'k' })).toThrow(
    expect.objectContaining({ code: 'config_invalid', paths: ['url'] }),
  );
});

test('a redirect is not followed, not even to the same host', async () => {
  const elsewhere = await startFaultyServer([]);
  for (const location of ['/elsewhere', elsewhere.url]) {
    const { seen, connect } = await openFaultyServer([{ status: 307, location }]);
    await expect(connect()(notIdempotent)).rejects.toMatchObject({ name: 'TokenClientError' });
    expect(seen).toHaveLength(1);
  }
  expect(elsewhere.seen).toHaveLength(0);
});

describe('Retry-After', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** A connection to a worker whose first answer has this header, with fake timers. */
  function connectToBusyWorker(retryAfter: string, status = 503) {
    vi.useFakeTimers({ now: Date.parse('2026-11-25T00:00:00.000Z') });
    const worker = { calls: 0 };
    const connection = openConnection({
      url: 'http://127.0.0.1',
      apiKey: 'k',
      fetch: async () => {
        worker.calls += 1;
        const headers = { 'retry-after': retryAfter };
        return await Promise.resolve(
          worker.calls === 1
            ? new Response('{}', { status, headers })
            : new Response('{"ok":true}'),
        );
      },
    });
    return { worker, connection };
  }

  test.for([
    ['10', 503],
    ['10', 429],
    ['10', 504],
    ['Wed, 25 Nov 2026 00:00:10 GMT', 503],
  ] as const)(
    'of ten seconds (%s, %i) delays the retry for ten seconds',
    async ([header, status]) => {
      const { worker, connection } = connectToBusyWorker(header, status);
      const call = connection(idempotent);
      await vi.advanceTimersByTimeAsync(9_900);
      expect(worker.calls).toBe(1);
      await vi.advanceTimersByTimeAsync(200);
      expect(await call).toEqual({ ok: true });
    },
  );

  test.for(['11', 'Wed, 25 Nov 2026 00:00:30 GMT'])(
    'of more than ten seconds (%s) fails the call at once',
    async (header) => {
      const { worker, connection } = connectToBusyWorker(header);
      const fault = connection(idempotent).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(1);
      expect(await fault).toMatchObject({ status: 503, isRetryable: true });
      expect(worker.calls).toBe(1);
    },
  );

  test('of any length delays the retry of a call with a signal', async () => {
    const { worker, connection } = connectToBusyWorker('30');
    const { signal } = new AbortController();
    const call = connection({ ...idempotent, signal });
    await vi.advanceTimersByTimeAsync(29_900);
    expect(worker.calls).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(await call).toEqual({ ok: true });
  });
});
