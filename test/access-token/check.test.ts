import { sql } from 'kysely';
import { expect } from 'vitest';
import { countAccessTokens } from '../../src/db/access-tokens.ts';
import { findScanAges } from '../../src/db/scan-runs.ts';
import { scanAccessTokens } from '../../src/jobs/scan-access-tokens.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { openQueueBackend } from '../../src/queues/backend.ts';
import { migrateQueueSchema } from '../../src/queues/postgres-schema.ts';
import { startSchedulers } from '../../src/queues/schedulers.ts';
import { eventually } from '../support/eventually.ts';
import { runTokenScan } from '../support/harness/scan-tokens.ts';
import { test, type TokenHarness } from '../support/harness/token-harness.ts';

/** Sets how much of the token's life of 100 minutes is left. */
async function leave(
  { dependencies, row }: TokenHarness,
  percent: number,
  name = 'cards',
): Promise<void> {
  const { id } = await row(name);
  await sql`update access_token set expires_at = now() + ${percent} * interval '1 minute',
    issued_at = now() - ${100 - percent} * interval '1 minute' where id = ${id}`.execute(
    dependencies.db,
  );
}

async function dueInMs({ row }: TokenHarness, name: string): Promise<number> {
  const { due_at: dueAt, read_at: now } = await row(name);
  return (dueAt?.getTime() ?? 0) - now.getTime();
}

async function alarmsOf({ events }: TokenHarness, name: string): Promise<number> {
  return (await events(name)).filter((event) => event === 'alarmed').length;
}

test('an overdue renewal raises one alarm at 50, 25, 10 and 0 % of life left, and a healthy token none', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const alarms = async (): Promise<number> => await alarmsOf(harness, 'cards');
  await leave(harness, 5);
  await runTokenScan(harness);
  expect(await alarms()).toBe(0);

  harness.sandbox.setFaults({ errorRate5xx: 1 });
  await harness.makeDue('cards');
  await harness.renew('cards');
  for (const [index, percent] of [45, 20, 8, -1].entries()) {
    await leave(harness, percent);
    await runTokenScan(harness);
    await runTokenScan(harness);
    expect(await alarms()).toBe(index + 1);
  }
  expect(harness.logs.filter((line) => line.includes('lifeLeftPercent'))).toHaveLength(4);

  harness.sandbox.setFaults({ errorRate5xx: 0 });
  await harness.makeDue('cards');
  await harness.renew('cards');
  expect(await harness.row('cards')).toMatchObject({ state: 'fresh', alarm_percent: null });
  const ages = await findScanAges(harness.dependencies.db);
  expect(ages.get('access-token.scan')).toBeLessThan(60_000);
});

test('alarms are raised too while every worker dies or is stopped in its call, and where no renewal begins', async ({
  openTokenHarness,
}) => {
  const names = ['dying', 'stopped', 'unbegun'];
  const harness = await openTokenHarness({ appKeys: names });
  for (const name of names) {
    await harness.add(name, name);
    await harness.renew(name);
    await leave(harness, 45, name);
  }
  const alarms = async (): Promise<readonly number[]> =>
    await Promise.all(names.map(async (name) => await alarmsOf(harness, name)));
  const fail = async (
    name: string,
    refreshAccessToken: TokenHarness['gateway']['refreshAccessToken'],
  ) =>
    await harness
      .renew(name, { as: { gateway: { ...harness.gateway, refreshAccessToken } } })
      .catch(() => 'died');

  // A lease, three timeouts of the gateway, is how long an attempt may take: 30 seconds.
  await harness.pass('unbegun', (await dueInMs(harness, 'unbegun')) + 29_000);
  await leave(harness, 45, 'unbegun');
  await runTokenScan(harness);
  expect(await alarms()).toEqual([0, 0, 0]);
  await harness.makeDue('dying');
  await harness.makeDue('stopped');
  for (let run = 0; run < 4; run += 1) {
    expect(await fail('dying', async () => await Promise.reject(new Error('killed')))).toBe('died');
    const aborted = { kind: 'unknown', cause: 'aborted' } as const;
    expect(await fail('stopped', async () => await Promise.resolve(aborted))).toBe(
      'outcome_unknown',
    );
    await harness.pass('dying', 30_500);
    await harness.pass('stopped', 10_000);
  }
  await harness.pass('unbegun', 2_000);
  // A killed worker counts as a failure, a stop does not.
  expect(await harness.row('dying')).toMatchObject({ state: 'refreshing', failures: 3 });
  expect(await harness.row('stopped')).toMatchObject({ state: 'ambiguous', failures: 0 });
  for (const [index, percent] of [45, 20, 8, -1].entries()) {
    for (const name of names) await leave(harness, percent, name);
    await runTokenScan(harness);
    await runTokenScan(harness);
    expect(await alarms()).toEqual([index + 1, index + 1, index + 1]);
  }
});

test('a renewal is late by four intervals of the scan, where these are longer than a lease', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness({ env: { SCAN_INTERVAL_MS: '60000' } });
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  await leave(harness, 45);
  for (const [lateMs, alarms] of [
    [230_000, 0],
    [250_000, 1],
  ] as const) {
    await harness.pass('cards', (await dueInMs(harness, 'cards')) + lateMs);
    await leave(harness, 45);
    await runTokenScan(harness);
    expect(await alarmsOf(harness, 'cards')).toBe(alarms);
  }
});

test('a scan that never runs raises an alarm, and the watchdog enqueues it once', async ({
  database,
  databaseUrl,
}) => {
  await migrateQueueSchema(databaseUrl);
  const backend = await openQueueBackend({ kind: 'postgres', databaseUrl }, () => undefined);
  const logs: string[] = [];
  const schedulers = await startSchedulers({
    backend,
    db: database.db,
    repeating: [{ job: scanAccessTokens, everyMs: 100 }],
    logger: createLogger({ level: 'info', destination: { write: (line) => logs.push(line) } }),
  });
  try {
    await eventually('two alarms', () => {
      const late = logs.filter((line) => line.includes('scan_late'));
      return late.length >= 2 && late.every((line) => line.includes('access-token.scan'));
    });
    const queue = backend.queue('access-token');
    const waiting = await queue.getJobs(['waiting', 'delayed', 'prioritized']);
    expect(waiting.filter((job) => job.id === 'late-access-token-scan')).toHaveLength(1);
  } finally {
    await schedulers.close();
    await backend.close();
  }
});

test('the least remaining life counts active credentials only, and is 0 or less if one of them has no valid token', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2', 'app-3'] });
  const { db } = harness.dependencies;
  const counted = async (): Promise<unknown> => {
    const { states, leastLeftMs = NaN } = await countAccessTokens(db);
    return [states, Math.sign(leastLeftMs)];
  };
  expect(await counted()).toEqual([{}, NaN]);
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  expect(await counted()).toEqual([{ fresh: 1 }, 1]);
  await harness.add('others', 'app-2');
  expect(await counted()).toEqual([{ fresh: 1, none: 1 }, 0]);
  const { id, app_key_index: index, environment } = await harness.row('cards');
  const set = async (column: string, value: string | null): Promise<void> => {
    await sql`update access_token set ${sql.ref(column)} = ${value} where id = ${id}`.execute(db);
  };
  // A valid token in the same state hides no invalid one.
  harness.sandbox.setFaults({ createRejectRate: 1 });
  expect(await harness.renew('others')).toBe('suspended');
  await set('state', 'suspended');
  expect(await counted()).toEqual([{ suspended: 2 }, 0]);
  await set('state', 'fresh');
  await harness.remove('others');
  expect(await counted()).toEqual([{ fresh: 1 }, 1]);

  // A token that is withheld from readers: of another application, or of another environment.
  for (const [column, other, own] of [
    ['app_key_index', 'another', index],
    ['environment', 'production', environment],
  ] as const) {
    await set(column, other);
    expect(await counted()).toEqual([{ fresh: 1 }, 0]);
    await set(column, own);
    expect(await counted()).toEqual([{ fresh: 1 }, 1]);
  }

  // The process that adds a credential is killed before there is a row for its token.
  const killed = harness.add('new', 'app-3', { diesBefore: 'access_token.registered' });
  await expect(killed).rejects.toThrow('killed');
  expect(await counted()).toEqual([{ fresh: 1 }, 0]);
  await harness.expire('cards');
  expect(await counted()).toEqual([{ fresh: 1 }, -1]);
});
