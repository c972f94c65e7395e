import { describe, expect } from 'vitest';
import { AppError } from '../../../src/domain/errors.ts';
import { openDatabase } from '../../../src/db/connection/database.ts';
import { isDatabaseOutage } from '../../../src/db/connection/faults.ts';
import { retryCommit } from '../../../src/db/connection/retry-commit.ts';
import { onServer } from '../../support/services/database.ts';
import { recordScanRun } from '../../../src/db/scan-runs.ts';
import { openPostgresProxy } from '../../support/services/postgres-proxy.ts';
import { test } from '../../support/harness/fixtures.ts';

describe('an outage', () => {
  test.for(['EHOSTUNREACH', 'ENETUNREACH', 'ECONNABORTED', '08006', '25006', '57014', '57P01'])(
    'is recognised by the code %s',
    (code) => {
      const fault = Object.assign(new Error('lost'), { code });
      expect(isDatabaseOutage(fault)).toBe(true);
      expect(isDatabaseOutage(new Error('wrapped', { cause: fault }))).toBe(true);
    },
  );

  test.for(['23505', '22P02', '42P01'])('is no refused statement: %s', (code) => {
    expect(isDatabaseOutage(Object.assign(new Error('refused'), { code }))).toBe(false);
  });

  test('is recognised on a server that became read-only', async ({ databaseUrl }) => {
    const name = new URL(databaseUrl).pathname.slice(1);
    await onServer(databaseUrl, async (client) => {
      await client.query(`alter database ${name} set default_transaction_read_only = on`);
    });
    const standby = await openDatabase({ url: databaseUrl, poolSizeMax: 1 });
    const write = recordScanRun(standby.db, 'reconciliation.scan');
    await expect(write).rejects.toSatisfy(isDatabaseOutage);
    await standby.close();
  });
});

test('a commit survives a network that drops packets for a moment', async ({ databaseUrl }) => {
  const proxy = await openPostgresProxy(databaseUrl);
  const statementTimeoutMs = 200;
  const database = await openDatabase({ url: proxy.url, poolSizeMax: 1, statementTimeoutMs });
  const tries: number[] = [];
  const commit = async (): Promise<string> => {
    tries.push(performance.now());
    // The first try takes longer than all of the time for tries.
    proxy.setMode(tries.length === 1 ? 'black_hole' : 'pass');
    await recordScanRun(database.db, 'reconciliation.scan');
    return 'committed';
  };
  expect(await retryCommit(commit, 1)).toBe('committed');
  expect(tries).toHaveLength(2);
  await database.close();
  await proxy.close();
});

test('a try that fails after the time is over is the last one', async () => {
  let tries = 0;
  const commit = async (): Promise<never> => {
    tries += 1;
    throw await Promise.resolve(Object.assign(new Error('away'), { code: '08006' }));
  };
  await expect(retryCommit(commit, 0)).rejects.toMatchObject({ code: '08006' });
  expect(tries).toBe(2);
});

test.for(['state_forbids', 'payload_invalid'] as const)(
  'a commit that no repetition can change is tried once: %s',
  async (code) => {
    let tries = 0;
    const commit = async (): Promise<never> => {
      tries += 1;
      throw await Promise.resolve(new AppError(code, 'no'));
    };
    await expect(retryCommit(commit, 60_000)).rejects.toMatchObject({ code });
    expect(tries).toBe(1);
  },
);
