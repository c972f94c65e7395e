import { expect } from 'vitest';
import { soakAccessTokens } from '../../bench/support/access-token-soak.ts';
import { flakyGateway, storm } from '../../bench/support/access-token-phases.ts';
import { measureStartMs } from '../../bench/support/worker-process.ts';
import { test } from '../support/fixtures.ts';

test('with tokens of seconds, two worker processes and a faulty gateway, no reader ever meets an expired token or an error', async ({
  databaseUrl,
  redis,
}) => {
  // Compressed time runs on while a process waits for the processor, so it is compressed less on a machine that is busy.
  const tokenTtlMs = Math.round(Math.min(60_000, Math.max(4_500, 7 * (await measureStartMs()))));
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const report = await soakAccessTokens({
    databaseUrl,
    redis,
    tokenTtlMs,
    credentials: 10,
    workers: 2,
    seed,
    env: {
      ACCESS_TOKEN_DUE_FRACTION: '0.15',
      GATEWAY_TIMEOUT_MS: String(Math.round(tokenTtlMs / 15)),
    },
    phases: [
      { ...storm, virtualMinutes: 20 },
      // A killed worker keeps its job for 25 seconds, which no compression makes shorter: the bench has the time for that.
      { ...flakyGateway, virtualMinutes: 45, isKilling: false },
    ],
  });
  expect(report, `seed ${seed}, a life of ${tokenTtlMs} ms`).toMatchObject({
    expiredReads: 0,
    failedReads: 0,
    revokedReads: 0,
    maxEffectiveRefreshesPerGeneration: 1,
    auditBreaks: 0,
    faults: [],
  });
  expect(report.reads).toBeGreaterThan(100);
  expect(report.generations).toBeGreaterThan(20);
}, 180_000);
