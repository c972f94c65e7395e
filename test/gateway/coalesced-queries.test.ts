import { expect, test } from 'vitest';
import { createCoalescedQueries } from '../../src/gateway/coalesced-queries.ts';
import type { Answer } from '../../src/gateway/answer.ts';

const at = (ms: number): Date => new Date(1_800_000_000_000 + ms);
const answer: Answer = { says: 'none', isOtherToken: false, word: 'none' };

test('an answer counts for what came before it was asked for; what came later waits until it may be asked for again', async () => {
  const { ask } = createCoalescedQueries(30_000);
  let asked = 0;
  const look = async (since: number, now: number, name = 'a') =>
    await ask({ name, since: at(since), now: at(now) }, async () => {
      asked += 1;
      return await Promise.resolve(answer);
    });
  expect(await look(0, 10)).toEqual({ answer, askedAt: at(10) });
  expect(await look(5, 20)).toEqual({ answer, askedAt: at(10) });
  expect(await look(15, 1_010)).toEqual({ waitMs: 29_000 });
  expect(asked).toBe(1);
  await look(15, 1_010, 'b');
  expect(await look(15, 30_010)).toEqual({ answer, askedAt: at(30_010) });
  expect(asked).toBe(3);
});

test('a question that could not be put is no answer for anybody else', async () => {
  const { ask } = createCoalescedQueries(30_000);
  const question = { name: 'a', since: at(0), now: at(1) };
  const failing = ask(question, async () => await Promise.reject(new Error('no database')));
  await expect(failing).rejects.toThrow('no database');
  expect(await ask(question, async () => await Promise.resolve(answer))).toHaveProperty('answer');
});
