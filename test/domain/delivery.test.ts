import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextAttemptMs } from '../../src/domain/delivery.ts';
import { loadConfig } from '../../src/config/config.ts';

const schedule = loadConfig({}, { isKeyless: true }).jobs.webhookScheduleMs;
const calm = { isOverloaded: false };

describe('the schedule of attempts', () => {
  test('the default is the schedule of Standard Webhooks: ten attempts within four days', () => {
    const hourMs = 3_600_000;
    expect(schedule).toEqual([
      0,
      5_000,
      300_000,
      1_800_000,
      ...[2, 5, 10, 14, 20, 24].map((hours) => hours * hourMs),
    ]);
    expect(nextAttemptMs(schedule, schedule.length, calm, 0.5)).toBeUndefined();
  });

  test('the jitter of a wait is at most a fifth either way', () => {
    fc.assert(
      fc.property(fc.nat(9), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
        const step = schedule[attempt] ?? 0;
        const waitMs = nextAttemptMs(schedule, attempt, calm, random) ?? 0;
        expect(waitMs).toBeGreaterThanOrEqual(Math.floor(step * 0.8));
        expect(waitMs).toBeLessThanOrEqual(Math.ceil(step * 1.2));
      }),
    );
  });

  test.each([
    [{ isOverloaded: false, retryAfterMs: 1 }, 300_000],
    [{ isOverloaded: false, retryAfterMs: 400_000 }, 400_000],
    [{ isOverloaded: false, retryAfterMs: 86_400_000 }, 600_000],
  ])('Retry-After is kept between one and two steps: %j', (result, expected) => {
    expect(nextAttemptMs(schedule, 2, result, 0.5)).toBe(expected);
  });

  test('after a 429 or a timeout the wait is at least a minute', () => {
    expect(nextAttemptMs(schedule, 1, { isOverloaded: true }, 0.5)).toBe(60_000);
    expect(nextAttemptMs(schedule, 3, { isOverloaded: true }, 0.5)).toBe(1_800_000);
  });
});
