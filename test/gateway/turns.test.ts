import { expect, test } from 'vitest';
import { createTurns } from '../../src/gateway/turns.ts';

test('turns at a host come evenly, so that no second holds more than the rate, and hold up no other host', async () => {
  const perSecondMax = 20;
  const turn = createTurns({ perSecondMax, atOnceMax: Infinity });
  const beginnings = async (host: string, turns: number): Promise<readonly number[]> =>
    await Promise.all(
      Array.from({ length: turns }, async () => {
        await turn(`https://${host}/open-api/v1`);
        return performance.now();
      }),
    );
  const startedAt = performance.now();
  const [ofOne, ofOther] = await Promise.all([
    beginnings('one.example', perSecondMax + 6),
    beginnings('other.example', 1),
  ]);
  expect((ofOther[0] ?? Infinity) - startedAt).toBeLessThan(500);
  for (const [index, beginsAt] of ofOne.entries()) {
    // A timer may fire a millisecond early.
    const leastMs = (index * 1_000) / perSecondMax - index;
    expect(beginsAt - (ofOne[0] ?? 0)).toBeGreaterThanOrEqual(leastMs);
  }
});

test('a host that is full is left at once, and has a place again when a turn there has ended', async () => {
  const turn = createTurns({ perSecondMax: 1_000, atOnceMax: 2 });
  const one = 'https://one.example/open-api/v1';
  const [first, second] = [await turn(one), await turn(one)];
  expect(await turn(one)).toBeUndefined();
  expect(await turn('https://other.example')).toBeDefined();
  first?.end();
  expect(await turn(one)).toBeDefined();
  expect(await turn(one)).toBeUndefined();
  second?.end();
  expect(await turn(one)).toBeDefined();
});
