import { expect } from 'vitest';
import { soakAccessTokens } from '../../bench/support/access-token-soak.ts';
import { flakyGateway, storm } from '../../bench/support/access-token-phases.ts';
import { test } from '../support/fixtures.ts';

test('with tokens of seconds, two worker processes and a faulty gateway, no reader ever meets an expired token or an error', async ({
  databaseUrl,
  redis,
}) => {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const report = await soakAccessTokens({
    databaseUrl,
    redis,
    tokenTtlMs: 5_000,
    credentials: 10,
    workers: 2,
    seed,
    env: { ACCESS_TOKEN_DUE_FRACTION: '0.15' },
    phases: [
      { ...storm, virtualMinutes: 30 },
      { ...flakyGateway, virtualMinutes: 20 },
    ],
  });
  expect(report, `seed ${seed}`).toMatchObject({
    expiredReads: 0,
    failedReads: 0,
    revokedReads: 0,
    maxEffectiveRefreshesPerGeneration: 1,
    auditBreaks: 0,
    faults: [],
  });
  expect(report.reads).toBeGreaterThan(100);
  expect(report.generations).toBeGreaterThan(20);
  expect(report.kills).toBeGreaterThan(0);
}, 90_000);
