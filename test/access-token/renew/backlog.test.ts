import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { testActor } from '../../support/builders.ts';
import { eventually } from '../../support/eventually.ts';
import { test } from '../../support/harness/fixtures.ts';
import { appSecret } from '../../support/harness/token-harness.ts';
import { backends, startTestWorker, type TestWorker } from '../../support/harness/worker.ts';

async function store({ app }: TestWorker, names: readonly string[]): Promise<void> {
  await Promise.all(
    names.map(async (name) => {
      const secrets = { appKey: name, appSecret };
      await storeCredential(
        app.operations,
        { name, environment: 'sandbox', family: 'opcard', secrets },
        testActor,
      );
    }),
  );
}

/** How many of these credentials have a token of this generation at least. */
async function countHolders(
  { app }: TestWorker,
  names: readonly string[],
  generation: number,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from access_token t join credential c on c.id = t.credential_id
    where c.name = any(${names}) and generation >= ${generation}`.execute(app.operations.db);
  return rows[0]?.count ?? 0;
}

const names = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

describe.each(backends)('with queues on %s', (backend) => {
  test('tokens that are about to expire are renewed before the first tokens of added credentials', async ({
    databaseUrl,
    skip,
  }) => {
    const [existing, added] = [names('existing', 5), names('added', 300)];
    const worker = await startTestWorker({
      databaseUrl,
      backend,
      env: { SCAN_INTERVAL_MS: '500', OAUTH_CALLS_PER_SECOND_MAX: '10' },
      sandbox: { opcardApps: [...existing, ...added].map((appKey) => ({ appKey, appSecret })) },
    });
    if (worker === undefined) return skip(`no ${backend}`);
    try {
      await store(worker, existing);
      await eventually(
        'the existing tokens',
        async () => (await countHolders(worker, existing, 1)) === existing.length,
      );
      await store(worker, added);
      await sql`update access_token t set due_at = now(), issued_at = now() - interval '59 minutes',
        expires_at = now() + interval '30 seconds'
        from credential c where c.id = t.credential_id and c.name = any(${existing})`.execute(
        worker.app.operations.db,
      );
      const before = await countHolders(worker, added, 1);
      await eventually(
        'the existing tokens are renewed',
        async () => (await countHolders(worker, existing, 2)) === existing.length,
      );
      // Two intervals of jobs are before them, and one interval until the next scan.
      expect((await countHolders(worker, added, 1)) - before).toBeLessThan(100);
    } finally {
      await worker.close();
    }
  });

  test('a reader of an expired token is served while the calls in flight at the host are at their limit', async ({
    databaseUrl,
    skip,
  }) => {
    const [existing, added] = [names('existing', 1), names('added', 200)];
    const worker = await startTestWorker({
      databaseUrl,
      backend,
      env: {
        SCAN_INTERVAL_MS: '1000',
        CONCURRENCY_ACCESS_TOKEN: '6',
        OAUTH_CALLS_PER_SECOND_MAX: '20',
      },
      sandbox: {
        opcardApps: [...existing, ...added].map((appKey) => ({ appKey, appSecret })),
        faults: { latencyMs: 800 },
      },
    });
    if (worker === undefined) return skip(`no ${backend}`);
    try {
      await store(worker, existing);
      await eventually(
        'the existing token',
        async () => (await countHolders(worker, existing, 1)) === 1,
      );
      await store(worker, added);
      const calls = (): number => worker.sandbox.state().calls['oauth-create'];
      await eventually('the host is busy', () => calls() >= 5);
      const { operations } = worker.app;
      await sql`update access_token t set due_at = now(), issued_at = now() - interval '1 hour',
        expires_at = now() - interval '1 second'
        from credential c where c.id = t.credential_id and c.name = any(${existing})`.execute(
        operations.db,
      );
      // Two calls in flight besides the urgent one, 800 ms each: the others need more than a
      // minute.
      const reader = createAccessTokenReader({ ...operations, isSubscribed: () => false });
      const actor = { type: 'backend', id: 'shop' } as const;
      expect(await reader.read('existing-0', actor)).toMatchObject({ generation: 2 });
      await reader.close();
      expect(await countHolders(worker, added, 1)).toBeLessThan(100);
    } finally {
      await worker.close();
    }
  });

  test('scans go on while the only job of a process hangs in its call', async ({
    databaseUrl,
    skip,
  }) => {
    const apps = names('hanging', 30);
    const worker = await startTestWorker({
      databaseUrl,
      backend,
      env: {
        SCAN_INTERVAL_MS: '200',
        CONCURRENCY_ACCESS_TOKEN: '1',
        GATEWAY_TIMEOUT_MS: '500',
        OAUTH_CALLS_PER_SECOND_MAX: '1000',
      },
      sandbox: {
        opcardApps: apps.map((appKey) => ({ appKey, appSecret })),
        faults: { hangRate: 1 },
      },
    });
    if (worker === undefined) return skip(`no ${backend}`);
    try {
      await store(worker, apps);
      const calls = (): number => worker.sandbox.state().calls['oauth-create'];
      await eventually('the first calls hang', () => calls() >= 2);
      const before = calls();
      const lastScan = async (): Promise<string> => {
        const { rows } = await sql<{ at: string }>`
          select finished_at::text as at from scan_run where name = 'access-token.scan'`.execute(
          worker.app.operations.db,
        );
        return rows[0]?.at ?? 'never';
      };
      for (let scans = 0; scans < 2; scans += 1) {
        const last = await lastScan();
        await eventually('a scan', async () => (await lastScan()) !== last);
      }
      // One call at a time; a scan waits for the call that hangs. Without its priority it would
      // wait for 30 of them.
      expect(calls() - before).toBeLessThanOrEqual(12);
    } finally {
      await worker.close();
    }
  });
});
