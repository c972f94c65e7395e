import { afterEach, describe, expect, test, vi } from 'vitest';
import { openConnection, type Connection } from '../../src/client/connection.ts';
import {
  openFaultyServer as openPlace,
  type SeenRequest,
  type FaultyAnswer,
} from '../support/faults/faulty-server.ts';

/** A place in faultyAnswer, and connections to it. */
async function openFaultyServer(faultyAnswers: readonly FaultyAnswer[]): Promise<{
  readonly seen: readonly SeenRequest[];
  readonly connect: (timeoutMs?: number) => Connection;
}> {
  const { seen, url } = await openPlace(faultyAnswers);
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
const once = { ...idempotent, isIdempotent: false } as const;

/** A problem as a worker words it. */
const problemOf = (code: string): object => ({
  title: 'Not now',
  detail: 'Try again.',
  code,
  paths: [],
  isRetryable: true,
  requestId: 'r-1',
});

describe('a call that says the same twice', () => {
  test.for<readonly [string, FaultyAnswer]>([
    ['a worker without its database', { status: 503, retryAfter: '0' }],
    ['a limit', { status: 429, retryAfter: '0' }],
    ['a proxy that gave up', { status: 504 }],
    ['a connection that broke', 'cut'],
    ['a connection that broke inside the answer', 'cut_inside'],
  ])('is sent again after %s, whole and with its key', async ([, faultyAnswer]) => {
    const { seen, connect } = await openFaultyServer([faultyAnswer]);
    expect(await connect()(idempotent)).toEqual({ ok: true });
    expect(seen).toHaveLength(2);
    const whole = { method: 'POST', path: '/base/v1/x', key: 'Bearer k', body: '{"a":1}' };
    expect(seen[1]).toEqual(whole);
  });

  test.for(['silent', 'stalled'] as const)(
    'is sent again after no answer, or half of one (%s)',
    async (faultyAnswer) => {
      const { seen, connect } = await openFaultyServer([faultyAnswer]);
      expect(await connect(200)(idempotent)).toEqual({ ok: true });
      expect(seen).toHaveLength(2);
    },
  );

  test('is given up after a few attempts', async () => {
    const faultyAnswer = { status: 503, retryAfter: '0' };
    const { seen, connect } = await openFaultyServer(Array.from({ length: 9 }, () => faultyAnswer));
    await expect(connect()(idempotent)).rejects.toMatchObject({
      code: 'answer_invalid',
      status: 503,
      isRetryable: true,
    });
    expect(seen).toHaveLength(4);
  });

  test('is not sent again where the worker has waited already, also after other faultyAnswers', async () => {
    const waited = { status: 503, retryAfter: '0', body: problemOf('access_token_unavailable') };
    const away = { status: 503, retryAfter: '0', body: problemOf('database_unavailable') };
    const { seen, connect } = await openFaultyServer([away, away, waited]);
    await expect(connect()(idempotent)).rejects.toMatchObject({
      code: 'access_token_unavailable',
      isRetryable: true,
    });
    expect(seen).toHaveLength(3);
  });

  test.for([400, 401, 403, 404, 409, 500])('is not sent again after %i', async (status) => {
    const { seen, connect } = await openFaultyServer([{ status }]);
    await expect(connect()(idempotent)).rejects.toMatchObject({ status });
    expect(seen).toHaveLength(1);
  });
});

describe('a call that leaves a trace each time', () => {
  test.for<readonly [string, FaultyAnswer, string]>([
    ['a proxy that gave up', { status: 504 }, 'answer_invalid'],
    ['a connection that broke', 'cut', 'network'],
    ['no answer', 'silent', 'timeout'],
    ['a connection that broke inside the answer', 'cut_inside', 'network'],
    ['half an answer', 'stalled', 'timeout'],
  ])('is not sent again after %s: it may have arrived', async ([, faultyAnswer, code]) => {
    const { seen, connect } = await openFaultyServer([faultyAnswer]);
    await expect(connect(200)(once)).rejects.toMatchObject({ code, isRetryable: true });
    expect(seen).toHaveLength(1);
  });

  test('is sent again after an answer that says it was not done', async () => {
    const { seen, connect } = await openFaultyServer([{ status: 503, retryAfter: '0' }]);
    expect(await connect()(once)).toEqual({ ok: true });
    expect(seen).toHaveLength(2);
  });
});

test('a redirect is not followed, however near: it would carry the key elsewhere', async () => {
  const elsewhere = await openPlace([]);
  for (const location of ['/elsewhere', elsewhere.url]) {
    const { seen, connect } = await openFaultyServer([{ status: 307, location }]);
    await expect(connect()(once)).rejects.toMatchObject({ name: 'TokenClientError' });
    expect(seen).toHaveLength(1);
  }
  expect(elsewhere.seen).toHaveLength(0);
});

describe('Retry-After', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** A connection to a worker that answers with this header first, on a clock that only the test moves. */
  function busyPlace(retryAfter: string, status = 503) {
    vi.useFakeTimers({ now: Date.parse('2026-11-25T00:00:00.000Z') });
    const place = { asked: 0 };
    const connection = openConnection({
      url: 'http://127.0.0.1',
      apiKey: 'k',
      fetch: async () => {
        place.asked += 1;
        const headers = { 'retry-after': retryAfter };
        return await Promise.resolve(
          place.asked === 1 ? new Response('{}', { status, headers }) : new Response('{"ok":true}'),
        );
      },
    });
    return { place, connection };
  }

  test.for([
    ['10', 503],
    ['10', 429],
    ['10', 504],
    ['Wed, 25 Nov 2026 00:00:10 GMT', 503],
  ] as const)('of ten seconds (%s, %i) is waited for, and no less', async ([said, status]) => {
    const { place, connection } = busyPlace(said, status);
    const call = connection(idempotent);
    await vi.advanceTimersByTimeAsync(9_900);
    expect(place.asked).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(await call).toEqual({ ok: true });
  });

  test.for(['11', 'Wed, 25 Nov 2026 00:00:30 GMT'])(
    'of more (%s) ends the call at once, instead of being cut short',
    async (said) => {
      const { place, connection } = busyPlace(said);
      const fault = connection(idempotent).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(1);
      expect(await fault).toMatchObject({ status: 503, isRetryable: true });
      expect(place.asked).toBe(1);
    },
  );

  test('of any length is waited for by a call that its signal ends', async () => {
    const { place, connection } = busyPlace('30');
    const { signal } = new AbortController();
    const call = connection({ ...idempotent, signal });
    await vi.advanceTimersByTimeAsync(29_900);
    expect(place.asked).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(await call).toEqual({ ok: true });
  });
});
