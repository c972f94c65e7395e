import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { TokenizationProgress } from '../../../src/db/tokenization-pages.ts';
import { createTokenizationWaiters, hasReached } from '../../../src/tokenization/read/long-poll.ts';

const forever = new AbortController().signal;
const waiting = { state: 'submitting', has_redirect_url: false } as const;

/** Rows that tests change, and how often they were asked for. */
function rowsOf(ids: readonly string[]) {
  const rows = new Map<string, TokenizationProgress>(ids.map((id) => [id, { id, ...waiting }]));
  const asked: number[] = [];
  return {
    rows,
    asked,
    find: async (wanted: readonly string[]) => {
      asked.push(wanted.length);
      return await Promise.resolve(wanted.flatMap((id) => rows.get(id) ?? []));
    },
  };
}

test('ten thousand requests wait on one query at a time, and each is answered when its own row has come', async () => {
  const ids = Array.from({ length: 10_000 }, () => randomUUID());
  const { rows, asked, find } = rowsOf(ids);
  const waiters = createTokenizationWaiters(find);
  const done = new Set<string>();
  const all = ids.map(async (id) => {
    // Each has a signal of its own, as each request has: listeners of one and the same are searched one by one.
    const { signal } = new AbortController();
    await waiters.wait(id, { until: 'redirect', waitMs: 20_000, signal });
    done.add(id);
  });
  await expect.poll(() => asked.length).toBeGreaterThan(0);
  expect(waiters.count()).toBe(10_000);
  const early = ids.slice(0, 10);
  for (const id of early) rows.set(id, { id, state: 'awaiting_customer', has_redirect_url: true });
  await expect.poll(() => done.size).toBe(10);
  expect([...done].toSorted()).toEqual(early.toSorted());
  for (const id of ids) rows.set(id, { id, state: 'failed', has_redirect_url: false });
  await Promise.all(all);
  expect(waiters.count()).toBe(0);
  // One query for all of them each time, and few of them.
  expect(asked[0]).toBe(10_000);
  expect(asked.length).toBeLessThan(100);
});

test('a wait ends by itself, when the client hangs up, and when the process stops', async () => {
  const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()];
  const waiters = createTokenizationWaiters(rowsOf([a, b, c]).find);
  const hungUp = new AbortController();
  const byTime = waiters.wait(a, { until: 'redirect', waitMs: 30, signal: forever });
  const byClient = waiters.wait(b, { until: 'final', waitMs: 20_000, signal: hungUp.signal });
  const byStop = waiters.wait(c, { until: 'final', waitMs: 20_000, signal: forever });
  await byTime;
  hungUp.abort();
  await byClient;
  expect(waiters.count()).toBe(1);
  waiters.close();
  await byStop;
  await waiters.wait(a, { until: 'final', waitMs: 20_000, signal: forever });
  expect(waiters.count()).toBe(0);
});

test('a row that is gone lets its waiter go; a database that fails tells all of them', async () => {
  const waiters = createTokenizationWaiters(rowsOf([]).find);
  await waiters.wait(randomUUID(), { until: 'final', waitMs: 20_000, signal: forever });
  const failing = createTokenizationWaiters(async () => await Promise.reject(new Error('away')));
  const asked = [randomUUID(), randomUUID()].map(
    async (id) => await failing.wait(id, { until: 'final', waitMs: 20_000, signal: forever }),
  );
  const settled = await Promise.allSettled(asked);
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(failing.count()).toBe(0);
});

test('more than the room holds are sent away with a retryable fault', async () => {
  const waiters = createTokenizationWaiters(rowsOf([]).find, { waitersMax: 1 });
  const first = waiters.wait(randomUUID(), { until: 'final', waitMs: 1_000, signal: forever });
  await expect(
    waiters.wait(randomUUID(), { until: 'final', waitMs: 1_000, signal: forever }),
  ).rejects.toMatchObject({ code: 'wait_capacity_reached' });
  await first;
});

test('arrivals without end do not put the next look off', async () => {
  const { asked, find } = rowsOf([]);
  const waiters = createTokenizationWaiters(find);
  const arrivals: Promise<void>[] = [];
  await expect
    .poll(
      () => {
        arrivals.push(
          waiters.wait(randomUUID(), { until: 'final', waitMs: 20_000, signal: forever }),
        );
        return asked.length;
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
] as const)('%s with a redirect url (%s), awaited until %s: %s', ([state, hasUrl, until, has]) => {
  expect(hasReached({ state, has_redirect_url: hasUrl }, until)).toBe(has);
});
