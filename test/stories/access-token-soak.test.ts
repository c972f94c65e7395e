import { expect } from 'vitest';
import { soakAccessTokens } from '../../bench/support/access-token-soak.ts';
import { calm, flakyGateway, storm } from '../../bench/support/access-token-phases.ts';
import { measureStartMs } from '../../bench/support/worker-process.ts';
import { test } from '../support/harness/fixtures.ts';

test('with tokens of seconds, two worker processes and a faulty gateway, no reader gets an expired token or an error', async ({
  databaseUrl,
  redis,
}) => {
  // Compressed time runs on while a process waits for the processor, so it is compressed less on a
  // machine that is busy.
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
      // The job of a killed worker stays locked for 25 seconds, which can't be compressed: only the
      // bench has the time.
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

test('on a calm gateway, with two worker processes, every pair that it issues becomes a generation', async ({
  databaseUrl,
  redis,
}) => {
  const report = await soakAccessTokens({
    databaseUrl,
    redis,
    tokenTtlMs: 12_000,
    credentials: 20,
    workers: 2,
    seed: 1,
    // So long that a worker which ignored the lease would call too.
    latencyMs: 100,
    // On a busy machine a shorter timeout would lose replies.
    env: { ACCESS_TOKEN_DUE_FRACTION: '0.1', GATEWAY_TIMEOUT_MS: '15000' },
    phases: [{ ...calm, virtualMinutes: 20 }],
  });
  expect(report).toMatchObject({ maxEffectiveRefreshesPerGeneration: 1, auditBreaks: 0 });
  expect(report.pairsAtGateway).toBe(report.generations);
  expect(report.generations).toBeGreaterThan(20);
});
