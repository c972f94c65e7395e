import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { TokenizationProgress } from '../../../src/db/tokenization-pages.ts';
import { createTokenizationWaiters, hasReached } from '../../../src/tokenization/read/long-poll.ts';

const neverAborted = new AbortController().signal;
const waitingState = { state: 'submitting', has_redirect_url: false } as const;

/** Rows that a test changes, a query for them, and the sizes of its calls. */
function fakeRows(ids: readonly string[]) {
  const rows = new Map<string, TokenizationProgress>(
    ids.map((id) => [id, { id, ...waitingState }]),
  );
  const queries: number[] = [];
  return {
    rows,
    queries,
    find: async (wanted: readonly string[]) => {
      queries.push(wanted.length);
      return await Promise.resolve(wanted.flatMap((id) => rows.get(id) ?? []));
    },
  };
}

describe('waiting for a tokenization', () => {
  test('ten thousand requests share one query at a time, and each returns when its own row progresses', async () => {
    const ids = Array.from({ length: 10_000 }, () => randomUUID());
    const { rows, queries, find } = fakeRows(ids);
    const waiters = createTokenizationWaiters(find);
    const done = new Set<string>();
    const all = ids.map(async (id) => {
      // One signal with ten thousand listeners would be slow; each real request has its own, too.
      const { signal } = new AbortController();
      await waiters.wait(id, { until: 'redirect', waitMs: 20_000, signal });
      done.add(id);
    });
    await expect.poll(() => queries.length).toBeGreaterThan(0);
    expect(waiters.count()).toBe(10_000);
    const early = ids.slice(0, 10);
    for (const id of early)
      rows.set(id, { id, state: 'awaiting_customer', has_redirect_url: true });
    await expect.poll(() => done.size).toBe(10);
    expect([...done].toSorted()).toEqual(early.toSorted());
    for (const id of ids) rows.set(id, { id, state: 'failed', has_redirect_url: false });
    await Promise.all(all);
    expect(waiters.count()).toBe(0);
    expect(queries[0]).toBe(10_000);
    expect(queries.length).toBeLessThan(100);
  });

  test('a wait ends after its time, when the client hangs up, and when the process stops', async () => {
    const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()];
    const waiters = createTokenizationWaiters(fakeRows([a, b, c]).find);
    const hungUp = new AbortController();
    const byTime = waiters.wait(a, { until: 'redirect', waitMs: 30, signal: neverAborted });
    const byClient = waiters.wait(b, { until: 'final', waitMs: 20_000, signal: hungUp.signal });
    const byStop = waiters.wait(c, { until: 'final', waitMs: 20_000, signal: neverAborted });
    await byTime;
    hungUp.abort();
    await byClient;
    expect(waiters.count()).toBe(1);
    waiters.close();
    await byStop;
    await waiters.wait(a, { until: 'final', waitMs: 20_000, signal: neverAborted });
    expect(waiters.count()).toBe(0);
  });

  test('a wait ends for a missing row, and rejects when the database fails', async () => {
    const waiters = createTokenizationWaiters(fakeRows([]).find);
    await waiters.wait(randomUUID(), { until: 'final', waitMs: 20_000, signal: neverAborted });
    const failing = createTokenizationWaiters(async () => await Promise.reject(new Error('away')));
    const waits = [randomUUID(), randomUUID()].map(
      async (id) =>
        await failing.wait(id, { until: 'final', waitMs: 20_000, signal: neverAborted }),
    );
    const settled = await Promise.allSettled(waits);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(failing.count()).toBe(0);
  });

  test('a request over the capacity is refused with wait_capacity_reached', async () => {
    const waiters = createTokenizationWaiters(fakeRows([]).find, { waitersMax: 1 });
    const first = waiters.wait(randomUUID(), {
      until: 'final',
      waitMs: 1_000,
      signal: neverAborted,
    });
    await expect(
      waiters.wait(randomUUID(), { until: 'final', waitMs: 1_000, signal: neverAborted }),
    ).rejects.toMatchObject({ code: 'wait_capacity_reached' });
    await first;
  });

  test('a stream of new requests does not postpone the next query', async () => {
    const { queries, find } = fakeRows([]);
    const waiters = createTokenizationWaiters(find);
    const arrivals: Promise<void>[] = [];
    await expect
      .poll(
        () => {
          arrivals.push(
            waiters.wait(randomUUID(), { until: 'final', waitMs: 20_000, signal: neverAborted }),
          );
          return queries.length;
        },
        { interval: 10 },
      )
      .toBeGreaterThan(2);
    waiters.close();
    await Promise.all(arrivals);
  });

  test.for([
    ['submitting', false, 'redirect', false],
    ['awaiting_customer', true, 'redirect', true],
    ['awaiting_customer', true, 'final', false],
    ['confirming', false, 'redirect', false],
    ['disabling', true, 'final', false],
    ['active', true, 'final', true],
    ['failed', false, 'redirect', true],
    ['expired', true, 'final', true],
  ] as const)(
    'state %s, redirect URL present: %s, wait for %s: ended %s',
    ([state, hasUrl, until, has]) => {
      expect(hasReached({ state, has_redirect_url: hasUrl }, until)).toBe(has);
    },
  );
});
