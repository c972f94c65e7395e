import { expect, test } from 'vitest';
import { accessTokenTimes } from '../../src/domain/access-token-times.ts';

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
  { life: 'a shorter one', skewMs: minute, gatewayTtlMs: 30 * minute, times: [22.5, 29] },
  {
    life: 'one as long as the margin',
    skewMs: minute,
    gatewayTtlMs: minute,
    times: [0.75, 0.9],
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
    times: [20, 20],
  },
  { life: 'no margin', skewMs: 0, gatewayTtlMs: minute, times: [0.75, 1] },
])('due and expired, in minutes: $life', ({ skewMs, gatewayTtlMs, times }) => {
  const startedAt = new Date();
  const life = { ttlMs: 60 * minute, skewMs, dueFraction: 0.75 };
  const { dueAt, expiresAt } = accessTokenTimes(startedAt, life, gatewayTtlMs, 0.5);
  const minutesAfter = (instant: Date): number =>
    (instant.getTime() - startedAt.getTime()) / minute;
  expect(minutesAfter(dueAt)).toBeCloseTo(times[0] ?? 0, 4);
  expect(minutesAfter(expiresAt)).toBeCloseTo(times[1] ?? 0, 4);
});
