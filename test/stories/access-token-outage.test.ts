import { expect, onTestFinished } from 'vitest';
import { outageSurvivedMs } from '../../src/domain/access-token-times.ts';
import { createGatewayClient, type GatewayClient } from '../../src/gateway/client.ts';
import {
  type AccessTokenReader,
  createAccessTokenReader,
} from '../../src/access-token/read/reader.ts';
import { AppError } from '../../src/domain/errors.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { test, type TokenHarness } from '../support/harness/token-harness.ts';

const minuteMs = 60_000;
/** The largest jitter and back-off. */
const unlucky = { random: () => 0.999_999 };

/**
 * A token of 60 minutes meets a storm. Every renewal that falls due is tried; before each, when
 * least of the token is left, a reader reads. Resolves to whether it was served every time.
 */
async function meet(
  harness: TokenHarness,
  name: string,
  failing: GatewayClient,
  { beginsMinute, lastsMinutes }: Weather,
): Promise<boolean> {
  await harness.add(name, name);
  await harness.renew(name, { as: unlucky });
  // The reader's clock passes too: PostgreSQL may be slow, and then its cache answers.
  let passedMs = 0;
  const pass = async (ms: number): Promise<void> => {
    await harness.pass(name, ms);
    passedMs += ms;
  };
  const reader = createAccessTokenReader({
    ...harness.dependencies,
    isSubscribed: () => false,
    waitMsMax: 0,
    now: () => performance.now() + passedMs,
  });
  await pass(beginsMinute * minuteMs);
  const endsMs = (beginsMinute + lastsMinutes) * minuteMs;
  let isServed = true;
  for (;;) {
    const {
      issued_at: issuedAt,
      due_at: dueAt,
      read_at: now,
      generation,
    } = await harness.row(name);
    if (generation > 1) break;
    const untilDueMs = Math.max(0, (dueAt?.getTime() ?? 0) - now.getTime()) + 1;
    await pass(untilDueMs);
    // By the age of the token, so that the time that the test itself takes counts for both.
    const ageMs = now.getTime() - (issuedAt?.getTime() ?? 0) + untilDueMs;
    isServed &&= await isServedBy(reader, name);
    const as = ageMs < endsMs ? { ...unlucky, gateway: failing } : unlucky;
    await harness.renew(name, { as });
  }
  await reader.close();
  return isServed;
}

/** Whether a read gets a token. Throws every fault but the lack of a valid one. */
async function isServedBy(reader: AccessTokenReader, name: string): Promise<boolean> {
  return await reader.read(name, { type: 'backend', id: 'shop' }).then(
    () => true,
    (error: unknown) => {
      if (error instanceof AppError && error.code === 'access_token_unavailable') return false;
      throw error;
    },
  );
}

interface Weather {
  readonly dueFraction: '0.2' | '0.75';
  readonly beginsMinute: number;
  readonly lastsMinutes: number;
  readonly isServed: boolean;
}

/**
 * A token renewed as late as its jitter allows has 59 - 66 x the fraction minutes left: 45.8 and
 * 9.5.
 */
const weathers: readonly Weather[] = [
  { dueFraction: '0.2', beginsMinute: 0, lastsMinutes: 45, isServed: true },
  { dueFraction: '0.2', beginsMinute: 13.1, lastsMinutes: 45, isServed: true },
  { dueFraction: '0.2', beginsMinute: 13.1, lastsMinutes: 46, isServed: false },
  { dueFraction: '0.75', beginsMinute: 0, lastsMinutes: 45, isServed: true },
  { dueFraction: '0.75', beginsMinute: 14.1, lastsMinutes: 45, isServed: false },
  { dueFraction: '0.75', beginsMinute: 49.4, lastsMinutes: 9.4, isServed: true },
  { dueFraction: '0.75', beginsMinute: 49.4, lastsMinutes: 10, isServed: false },
];

test('readers notice no 5xx storm, whenever it begins, that is shorter than what a due token has left', async ({
  openTokenHarness,
}) => {
  const sandbox = await startSandbox({ faults: { errorRate5xx: 1 } });
  const failing = createGatewayClient({
    checkoutUrl: sandbox.checkoutUrl,
    openApiUrl: sandbox.openApiUrl,
    timeoutMs: 2_000,
  });
  onTestFinished(async () => {
    await failing.close();
    await sandbox.close();
  });
  const appKeys = weathers.map((_, index) => `w${index}`);
  const harnesses = {
    '0.2': await openTokenHarness({ appKeys, env: { ACCESS_TOKEN_DUE_FRACTION: '0.2' } }),
    '0.75': await openTokenHarness({ appKeys }),
  };
  const seen = await Promise.all(
    weathers.map(async (weather, index) => ({
      ...weather,
      isServed: await meet(harnesses[weather.dueFraction], `w${index}`, failing, weather),
    })),
  );
  expect(seen).toEqual(weathers);
  const life = { ttlMs: 60 * minuteMs, skewMs: minuteMs };
  expect(outageSurvivedMs({ ...life, dueFraction: 0.2 })).toBe(45.8 * minuteMs);
  expect(outageSurvivedMs({ ...life, dueFraction: 0.75 })).toBe(9.5 * minuteMs);
});
