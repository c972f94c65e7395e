import { sql } from 'kysely';
import { describe, expect, onTestFinished } from 'vitest';
import { findDueAccessTokens, findOverdueAccessTokens } from '../../src/db/access-tokens.ts';
import type { Db } from '../../src/db/connection/database.ts';
import { accessTokenTimes, alarmPercents } from '../../src/domain/access-token-times.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { countBuffers } from '../support/explain.ts';
import { runTokenScan } from '../support/harness/scan-tokens.ts';
import { openTokenHarness } from '../support/harness/token-harness.ts';
import { test } from '../support/harness/fixtures.ts';
import { insertCredentials } from '../support/harness/many-credentials.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const manyCount = 10_000;
const rowsMax = 100;
const alarmsMax = 1_000;
const findDue = async (db: Db) => await findDueAccessTokens(db, rowsMax, 540_000);
const findOverdue = async (db: Db) =>
  await findOverdueAccessTokens(db, 20_000, alarmPercents, alarmsMax);

describe(`with ${manyCount} credentials`, () => {
  test('a scan touches as few pages as with ten, and a bounded number when all of them are due', async ({
    database: { db },
    databaseUrl,
  }) => {
    const look = async (own: Db): Promise<void> => {
      await findDue(own);
      await findOverdue(own);
    };
    // Due one after the other over the next 45 minutes.
    const dueAt = `now() + interval '1 minute' + i * interval '0.27 seconds'`;
    await insertCredentials(databaseUrl, { to: 10, dueAt });
    const few = await countBuffers(databaseUrl, look);
    await insertCredentials(databaseUrl, { from: 11, to: manyCount, dueAt });
    // Each of the indexes is one level deeper.
    expect(await countBuffers(databaseUrl, look)).toBeLessThanOrEqual(few + 16);

    await sql`update access_token set due_at = now() - interval '1 s'`.execute(db);
    const pagesPerRow = 25;
    expect(await countBuffers(databaseUrl, findDue)).toBeLessThan(pagesPerRow * rowsMax);
    await sql`update access_token set failures = 1`.execute(db);
    expect(await countBuffers(databaseUrl, findDue)).toBeLessThan(2 * pagesPerRow * rowsMax);
  });

  test('tokens that expire first are renewed first, and each raises its alarm, however many fail', async ({
    database: { db },
    databaseUrl,
  }) => {
    await insertCredentials(databaseUrl, {
      to: 2_500,
      // The longer a token is overdue, the more of its life is left.
      dueAt: `now() - i * interval '1 second'`,
      expiresAt: `now() + interval '5 minutes' + i * interval '0.1 seconds'`,
      failures: 3,
    });
    await sql`update access_token set issued_at = now() - interval '55 minutes'`.execute(db);
    const due = (await findDue(db)).map(({ credential }) => credential);
    const nearest = Array.from({ length: rowsMax }, (_, index) => `many-${index + 1}`);
    expect(due).toEqual(nearest);
    // Healthy tokens are found as well, however many always fail.
    await sql`update access_token set failures = 0 where credential_id in (
      select id from credential where name in ('many-2499', 'many-2500'))`.execute(db);
    const found = (await findDue(db)).map(({ credential }) => credential);
    expect(found.slice(0, 4)).toEqual(
      expect.arrayContaining(['many-2499', 'many-2500', 'many-1', 'many-2']),
    );
    await sql`update access_token set failures = 3`.execute(db);

    const alarmed: string[] = [];
    for (let scans = 0; scans < 3; scans += 1) {
      const overdue = await findOverdue(db);
      alarmed.push(...overdue.map(({ credential }) => credential));
      await sql`update access_token set alarm_percent = 10 where id = any(${overdue.map(({ id }) => id)})`.execute(
        db,
      );
    }
    expect(new Set(alarmed).size).toBe(2_500);
    expect(await findOverdue(db)).toEqual([]);
  });

  test('the due tokens of one environment are found, however many of the other were due before them', async ({
    database: { db },
    databaseUrl,
  }) => {
    await insertCredentials(databaseUrl, {
      to: 2_500,
      dueAt: `now() - interval '1 hour'`,
      expiresAt: `now() - interval '30 minutes'`,
      failures: 3,
    });
    await insertCredentials(databaseUrl, {
      from: 2_501,
      to: 2_501,
      dueAt: `now() - interval '1 second'`,
      environment: 'production',
    });
    const due = (await findDue(db)).map(({ credential }) => credential);
    expect(due).toContain('many-2501');
    expect(due.length).toBeLessThanOrEqual(2 * rowsMax + 1);
  });

  test('a scan enqueues the calls of four intervals, spread at the rate limit', async ({
    database: { db },
    door,
    databaseUrl,
  }) => {
    const env = { OAUTH_CALLS_PER_SECOND_MAX: '50', SCAN_INTERVAL_MS: '1000' };
    const harness = await openTokenHarness({ db, door, databaseUrl }, { env });
    onTestFinished(harness.close);
    await insertCredentials(databaseUrl, { to: 400, dueAt: `now() - interval '1 second'` });
    const delays = (await runTokenScan(harness)).map(({ delayMs }) => delayMs);
    expect(delays).toEqual(Array.from({ length: 50 * 1 * 4 }, (_, index) => index * 20));
  });

  test('a scan skips leased tokens', async ({ database: { db }, door, databaseUrl }) => {
    const harness = await openTokenHarness({ db, door, databaseUrl });
    onTestFinished(harness.close);
    await insertCredentials(databaseUrl, { to: 20, dueAt: `now() - interval '1 second'` });
    await sql`update access_token set lease_until = now() + interval '1 minute' where id in (
      select id from access_token limit 15)`.execute(db);
    expect(await runTokenScan(harness)).toHaveLength(5);
  });

  test('tokens that were never issued have every fifth place and hide no others', async ({
    database: { db },
    databaseUrl,
  }) => {
    await insertCredentials(databaseUrl, { to: 300, dueAt: `now() - interval '1 hour'` });
    await sql`update access_token set expires_at = null, issued_at = null, generation = 0`.execute(
      db,
    );
    await insertCredentials(databaseUrl, {
      from: 301,
      to: 310,
      dueAt: `now() - interval '1 second'`,
    });
    const due = (await findDue(db)).map(({ credential }) => credential);
    expect(due).toHaveLength(rowsMax);
    const issued = Array.from({ length: 10 }, (_, index) => `many-${301 + index}`);
    expect(due.slice(0, 13)).toEqual(expect.arrayContaining(issued));
  });

  test('tokens that expire first are found, whatever the order in which they fell due', async ({
    database: { db },
    databaseUrl,
  }) => {
    await insertCredentials(databaseUrl, { to: manyCount, dueAt: 'now()' });
    // As after a stop of twelve minutes, with the documented life and jitter; one token lives for
    // five minutes.
    await sql`update access_token set issued_at = now() - random() * interval '57 minutes'`.execute(
      db,
    );
    await sql`update access_token set due_at = issued_at + interval '45 minutes' * (0.9 + random() * 0.2),
      expires_at = issued_at + interval '59 minutes'`.execute(db);
    await sql`update access_token set due_at = now() - interval '1 s', expires_at = now() + interval '5 s'
      where credential_id = (select id from credential where name = 'many-1')`.execute(db);
    const { rows } = await sql<{ id: string }>`
      select id from access_token where due_at <= now() order by expires_at limit ${rowsMax}`.execute(
      db,
    );
    const found = (await findDue(db)).map(({ id }) => id);
    expect(new Set(found)).toEqual(new Set(rows.map(({ id }) => id)));
  });

  test('renewals spread over nine minutes, although all tokens were issued in the same instant', () => {
    const minuteMs = 60_000;
    const startedAt = new Date();
    const perMinute = new Map<number, number>();
    for (let index = 0; index < manyCount; index += 1) {
      const life = { ttlMs: 60 * minuteMs, skewMs: minuteMs, dueFraction: 0.75 };
      const { dueAt } = accessTokenTimes(startedAt, life, undefined, Math.random());
      const minute = Math.floor((dueAt.getTime() - startedAt.getTime()) / minuteMs - 40.5);
      perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1);
    }
    expect([...perMinute.keys()].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // A ninth of them each; 200 is more than six standard deviations.
    for (const count of perMinute.values()) {
      expect(Math.abs(count - manyCount / 9)).toBeLessThan(200);
    }
  });
});

/** Stores so many applications, and waits until each has its first token. */
async function issueAll({ app: { operations } }: TestWorker, count: number): Promise<void> {
  await Promise.all(
    appsOf(count).map(async (secrets) => {
      await storeCredential(
        operations,
        { name: secrets.appKey, environment: 'sandbox', family: 'opcard', secrets },
        testActor,
      );
    }),
  );
  await eventually('all are issued', async () => {
    const rows = await operations.db.selectFrom('access_token').select('generation').execute();
    return rows.filter(({ generation }) => generation === 1).length === count;
  });
}

const appsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    appKey: `many-${index}`,
    appSecret: 'secret',
  }));

test('a process makes no more concurrent calls to a host than the share of its concurrency that one host may use', async ({
  databaseUrl,
  skip,
}) => {
  const worker = await startTestWorker({
    databaseUrl,
    backend: 'redis',
    env: { CONCURRENCY_ACCESS_TOKEN: '5', OAUTH_CALLS_PER_SECOND_MAX: '1000' },
    sandbox: { opcardApps: appsOf(12), faults: { latencyMs: 80 } },
  });
  if (worker === undefined) return skip('no Redis');
  try {
    await issueAll(worker, 12);
    // From intent to result a call is under way.
    const { rows } = await sql<{ most: number }>`
    select max(under_way)::integer as most from (
      select sum(case event when 'access_token.issue_intent' then 1 else -1 end) over (order by id) as under_way
      from audit_event
      where event in ('access_token.issue_intent', 'access_token.issued', 'access_token.suspended')
    ) calls`.execute(worker.app.operations.db);
    // Three quarters of four, less the one that is kept for urgent tokens.
    expect(rows).toEqual([{ most: 2 }]);
  } finally {
    await worker.close();
  }
});

test('two processes together make no more calls to one host than its rate limit', async ({
  databaseUrl,
  skip,
}) => {
  const [perSecondMax, count] = [2, 10];
  const worker = await startTestWorker({
    databaseUrl,
    backend: 'postgres',
    env: { SCAN_INTERVAL_MS: '500', OAUTH_CALLS_PER_SECOND_MAX: String(perSecondMax) },
    sandbox: { opcardApps: appsOf(count) },
  });
  if (worker === undefined) return skip('no queue');
  try {
    await worker.startAnother();
    // Both processes find all jobs at once.
    const queue = worker.app.backend.queue('access-token');
    await queue.pause();
    const issued = issueAll(worker, count);
    await eventually('all jobs', async () => {
      return (await queue.getJobCountByTypes('waiting', 'prioritized')) >= count;
    });
    await queue.resume();
    await issued;
    const { rows } = await sql<{ seconds: number; workers: number }>`
      select extract(epoch from max(occurred_at) - min(occurred_at))::double precision as seconds,
        count(distinct actor_id)::integer as workers
      from audit_event e join access_token t on t.id = e.entity_id join credential c on c.id = t.credential_id
      where e.event = 'access_token.issue_intent' and c.name like 'many-%'`.execute(
      worker.app.operations.db,
    );
    expect(rows[0]?.workers).toBe(2);
    // With a limit for each process, all calls begin within two seconds. The first may be late by
    // one.
    expect(rows[0]?.seconds).toBeGreaterThan((count - 1) / perSecondMax - 1);
  } finally {
    await worker.close();
  }
});
