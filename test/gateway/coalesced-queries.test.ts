import { expect, test } from 'vitest';
import { createCoalescedQueries } from '../../src/gateway/coalesced-queries.ts';
import type { Answer } from '../../src/gateway/answer.ts';

const at = (ms: number): Date => new Date(1_800_000_000_000 + ms);
const answer: Answer = { says: 'none', isOtherToken: false, word: 'none' };

/** Queries on a clock of the test's own, and how many there were. */
function openQueries() {
  const clock = { nowMs: 0 };
  const queries = createCoalescedQueries(30_000, () => clock.nowMs);
  const asked = { count: 0 };
  /** Asks because of a message that arrived at `since`. */
  const ask = async (since: number, nowMs: number, name = 'a') => {
    clock.nowMs = nowMs;
    return await queries.ask({ name, since: at(since), now: at(nowMs) }, async () => {
      asked.count += 1;
      return await Promise.resolve(answer);
    });
  };
  return { queries, asked, ask, clock };
}

test('an answer counts for messages that arrived before the query; later ones wait for the next query', async () => {
  const { ask, asked } = openQueries();
  expect(await ask(0, 10)).toEqual({ answer, askedAt: at(10) });
  expect(await ask(5, 20)).toEqual({ answer, askedAt: at(10) });
  expect(await ask(15, 1_010)).toEqual({ waitMs: 29_000 });
  expect(asked.count).toBe(1);
  await ask(15, 1_010, 'b');
  expect(await ask(15, 30_010)).toEqual({ answer, askedAt: at(30_010) });
  expect(asked.count).toBe(3);
});

test('messages that arrive during a query cause no other, and only the earlier ones get its answer', async () => {
  const { queries, clock } = openQueries();
  const running = Promise.withResolvers<Answer>();
  let asked = 0;
  const ask = async (since: number, nowMs: number) => {
    clock.nowMs = nowMs;
    return await queries.ask({ name: 'a', since: at(since), now: at(nowMs) }, async () => {
      asked += 1;
      return await running.promise;
    });
  };
  const earlier = [ask(0, 10), ask(5, 20)];
  // Told at once, while the query is under way.
  expect(await ask(15, 1_010)).toEqual({ waitMs: 29_000 });
  running.resolve(answer);
  expect(await Promise.all(earlier)).toEqual([
    { answer, askedAt: at(10) },
    { answer, askedAt: at(10) },
  ]);
  expect(asked).toBe(1);
});

test('a query that fails is no answer: the next message asks again at once', async () => {
  const { queries, ask } = openQueries();
  const question = { name: 'a', since: at(0), now: at(1) };
  const failing = queries.ask(question, async () => await Promise.reject(new Error('no database')));
  await expect(failing).rejects.toThrow('no database');
  expect(await ask(0, 1)).toHaveProperty('answer');
});
