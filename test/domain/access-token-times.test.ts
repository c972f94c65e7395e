import { expect, test } from 'vitest';
import { accessTokenTimes, outageSurvivedMs } from '../../src/domain/access-token-times.ts';

const second = 1_000;
const minute = 60 * second;

test.for([
  { life: 'the documented one', skewMs: minute, gatewayTtlMs: undefined, times: [45, 59] },
  {
    life: 'a longer one counts as the configured one',
    skewMs: minute,
    gatewayTtlMs: 90 * minute,
    times: [45, 59],
  },
  { life: 'a shorter one', skewMs: minute, gatewayTtlMs: 30 * minute, times: [22.409, 29] },
  {
    life: 'one as long as the margin',
    skewMs: minute,
    gatewayTtlMs: minute,
    times: [0.6955, 0.9],
  },
  {
    life: 'one shorter than the least time between renewals',
    skewMs: minute,
    gatewayTtlMs: 6 * second,
    times: [1 / 6, 0.09],
  },
  {
    life: 'a configured margin keeps its share',
    skewMs: 20 * minute,
    gatewayTtlMs: 30 * minute,
    times: [15.4545, 20],
  },
  { life: 'no margin', skewMs: 0, gatewayTtlMs: minute, times: [0.75, 1] },
])('due and expired, in minutes: $life', ({ skewMs, gatewayTtlMs, times }) => {
  const startedAt = new Date();
  const life = { ttlMs: 60 * minute, skewMs, dueFraction: 0.75 };
  const { dueAt, expiresAt } = accessTokenTimes(startedAt, life, gatewayTtlMs, 0.5);
  const minutesAfter = (instant: Date): number =>
    (instant.getTime() - startedAt.getTime()) / minute;
  expect(minutesAfter(dueAt)).toBeCloseTo(times[0] ?? 0, 3);
  expect(minutesAfter(expiresAt)).toBeCloseTo(times[1] ?? 0, 3);
});

test.for([
  { of: 'the default', ttlMs: 60 * minute, skewMs: minute, dueFraction: 0.75 },
  { of: 'the largest fraction', ttlMs: 60 * minute, skewMs: minute, dueFraction: 0.95 },
  { of: 'a margin of a quarter', ttlMs: 4 * minute, skewMs: minute, dueFraction: 0.75 },
  { of: 'a margin that leaves a second', ttlMs: minute, skewMs: 59 * second, dueFraction: 0.95 },
])(
  'a token is due before only a tenth of its life is left, whatever the jitter, with $of',
  ({ ttlMs, skewMs, dueFraction }) => {
    const life = { ttlMs, skewMs, dueFraction };
    const leftMs = [0, 0.5, 0.999].map((random) => {
      const { dueAt, expiresAt } = accessTokenTimes(new Date(0), life, undefined, random);
      expect(dueAt.getTime()).toBeLessThan(0.9 * expiresAt.getTime());
      return expiresAt.getTime() - dueAt.getTime();
    });
    // Renewals stay spread, and the least of what is left is what an outage may take.
    expect(new Set(leftMs).size).toBe(3);
    expect(Math.min(...leftMs) / outageSurvivedMs(life)).toBeCloseTo(1, 1);
  },
);
