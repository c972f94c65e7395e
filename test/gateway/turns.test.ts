import { expect, test } from 'vitest';
import { createTurns } from '../../src/gateway/turns.ts';

test('calls beyond the rate of a host wait for the next second, and those to another host do not', async () => {
  const turn = createTurns(5);
  const startedAt = performance.now();
  const afterMs: number[] = [];
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      await turn('https://one.example/open-api/v1');
      afterMs.push(performance.now() - startedAt);
    }).concat(
      Array.from({ length: 5 }, async () => {
        await turn('https://other.example/open-api/v1');
        expect(performance.now() - startedAt).toBeLessThan(900);
      }),
    ),
  );
  expect(afterMs.filter((ms) => ms < 900)).toHaveLength(5);
});
