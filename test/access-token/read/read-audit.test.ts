import { onTestFinished, afterEach, describe, expect, vi } from 'vitest';
import {
  type AccessTokenReadAuditOptions,
  type AuditedRead,
  createAccessTokenReadAudit,
} from '../../../src/access-token/read/read-audit.ts';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { type Db, openDatabase, pingDatabase } from '../../../src/db/connection/database.ts';
import {
  openDirectTokenClient,
  UnrecordedReadsError,
} from '../../../src/direct-client/direct-client.ts';
import { eventually } from '../../support/eventually.ts';
import { holdAnswersOf } from '../../support/faults/held-answers.ts';
import { test as withDatabase } from '../../support/harness/fixtures.ts';
import { runTokenScan } from '../../support/harness/scan-tokens.ts';
import { holdDueToken, test } from '../../support/harness/token-harness.ts';
import { openPostgresProxy } from '../../support/services/postgres-proxy.ts';

const cards = '11111111-1111-4111-8111-111111111111';
const others = '22222222-2222-4222-8222-222222222222';

afterEach(() => {
  vi.useRealTimers();
});

/** A read by the backend of this name. */
function readBy(name: string, read: Partial<AuditedRead> = {}): AuditedRead {
  const actor = { type: 'backend', id: name } as const;
  return { accessTokenId: cards, credential: 'cards', generation: 1, actor, ...read };
}

/** What the read audit holds: credential, generation, backend and number of reads of each row. */
async function recordedReads(db: Db): Promise<readonly string[]> {
  const rows = await db.selectFrom('access_token_read').selectAll().orderBy('id').execute();
  return rows.map((row) => `${row.credential} g${row.generation} ${row.actor_id} ${row.reads}`);
}

/** The same, added up, since a backend's reads may be split over rows. */
async function readsByBackend(db: Db): Promise<Readonly<Record<string, number>>> {
  const rows = await db.selectFrom('access_token_read').selectAll().execute();
  const sums: Record<string, number> = {};
  for (const { actor_id: name, reads } of rows) sums[name] = (sums[name] ?? 0) + reads;
  return sums;
}

/** Keeps what the audit reports: whether it is lost, and the reads of each backend. */
function keepReports() {
  const reports: unknown[] = [];
  const onUnrecorded: AccessTokenReadAuditOptions['onUnrecorded'] = (unrecorded, _, isLost) => {
    reports.push([isLost, unrecorded.map(({ actor, reads }) => `${actor.id} ${reads}`)]);
  };
  return { reports, onUnrecorded };
}

/** A database that refuses every statement. */
async function openClosedDatabase(databaseUrl: string): Promise<Db> {
  const { db, close } = await openDatabase({ url: databaseUrl, poolSizeMax: 1 });
  // A pool that was never used would open in spite of its end.
  await pingDatabase(db);
  await close();
  return db;
}

describe('the read audit', () => {
  withDatabase(
    'writes within a second, one row per token, generation and backend',
    async ({ database: { db } }) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const audit = createAccessTokenReadAudit({ db });
      for (let reads = 0; reads < 100; reads += 1) audit.record(readBy('shop'));
      audit.record(readBy('shop', { generation: 2 }));
      audit.record(readBy('till'));
      audit.record(readBy('till', { accessTokenId: others, credential: 'others' }));
      // A process that is killed loses what it read in so long, and no more.
      await vi.advanceTimersByTimeAsync(1_000);
      vi.useRealTimers();
      const rows = await eventually('rows', async () => {
        const recorded = await recordedReads(db);
        return recorded.length > 0 && recorded;
      });
      expect(rows).toEqual([
        'cards g1 shop 100',
        'cards g2 shop 1',
        'cards g1 till 1',
        'others g1 till 1',
      ]);
      await audit.close();
    },
  );

  withDatabase('writes what is left when it is closed', async ({ database: { db } }) => {
    const audit = createAccessTokenReadAudit({ db });
    audit.record(readBy('shop'));
    await audit.close();
    expect(await recordedReads(db)).toEqual(['cards g1 shop 1']);
  });

  withDatabase(
    'writes a read that comes during a write once, with the next one',
    async ({ database }) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const held = holdAnswersOf(database.db);
      const audit = createAccessTokenReadAudit({ db: held.db });
      held.hold();
      for (let reads = 0; reads < 5; reads += 1) audit.record(readBy('shop'));
      audit.record(readBy('till'));
      await vi.advanceTimersByTimeAsync(1_000);
      audit.record(readBy('shop'));
      held.release();
      await audit.close();
      expect(await recordedReads(database.db)).toEqual([
        'cards g1 shop 5',
        'cards g1 till 1',
        'cards g1 shop 1',
      ]);
    },
  );

  withDatabase(
    'records when the first and the last read was, not when they were written',
    async ({ database: { db } }) => {
      const audit = createAccessTokenReadAudit({ db });
      vi.useFakeTimers({ toFake: ['performance'] });
      audit.record(readBy('shop'));
      vi.advanceTimersByTime(40_000);
      audit.record(readBy('shop'));
      vi.advanceTimersByTime(20_000);
      const before = Date.now();
      await audit.close();
      const row = await db.selectFrom('access_token_read').selectAll().executeTakeFirstOrThrow();
      const agoMs = [row.first_read_at, row.last_read_at].map((at) => before - at.getTime());
      expect(agoMs[0]).toBeGreaterThan(58_000);
      expect(agoMs[0]).toBeLessThan(62_000);
      expect(agoMs[1]).toBeGreaterThan(18_000);
      expect(agoMs[1]).toBeLessThan(22_000);
    },
  );

  withDatabase(
    'keeps reads over a database outage, reports the outage once, and loses none',
    async ({ database: { db }, databaseUrl }) => {
      const proxy = await openPostgresProxy(databaseUrl);
      const own = await openDatabase({ url: proxy.url, poolSizeMax: 2 });
      const { reports, onUnrecorded } = keepReports();
      const audit = createAccessTokenReadAudit({ db: own.db, onUnrecorded });
      proxy.setMode('black_hole');
      for (let reads = 0; reads < 3; reads += 1) audit.record(readBy('shop'));
      await eventually('a write fails', () => {
        proxy.cut();
        return reports.length > 0;
      });
      audit.record(readBy('shop'));
      audit.record(readBy('till'));
      proxy.setMode('pass');
      proxy.cut();
      await eventually('all are written', async () => {
        const { shop, till } = await readsByBackend(db);
        return shop === 4 && till === 1;
      });
      await audit.close();
      expect(await readsByBackend(db)).toEqual({ shop: 4, till: 1 });
      expect(reports).toEqual([[false, ['shop 3']]]);
      await own.close();
      await proxy.close();
    },
  );

  withDatabase(
    'reports reads as lost when the database is still unavailable at close',
    async ({ databaseUrl }) => {
      const { reports, onUnrecorded } = keepReports();
      const audit = createAccessTokenReadAudit({
        db: await openClosedDatabase(databaseUrl),
        onUnrecorded,
      });
      for (const name of ['shop', 'till', 'shop']) audit.record(readBy(name));
      await audit.close();
      expect(reports).toEqual([[true, ['shop 2', 'till 1']]]);
    },
  );

  withDatabase(
    'closes within five seconds although the database hangs, and reports what it was writing as lost once',
    async ({ database }) => {
      vi.useFakeTimers({
        toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
      });
      const held = holdAnswersOf(database.db);
      const { reports, onUnrecorded } = keepReports();
      const audit = createAccessTokenReadAudit({ db: held.db, onUnrecorded });
      held.hold();
      audit.record(readBy('shop'));
      await vi.advanceTimersByTimeAsync(1_000);
      audit.record(readBy('shop'));
      audit.record(readBy('till'));
      const closing = audit.close();
      await vi.advanceTimersByTimeAsync(5_000);
      await closing;
      expect(reports).toEqual([[true, ['shop 2', 'till 1']]]);
      held.release();
      await audit.close();
      expect(reports).toHaveLength(1);
    },
  );

  withDatabase(
    'holds a bounded number of rows in memory: a read beyond it is reported as lost, and no other',
    async ({ database: { db } }) => {
      const { reports, onUnrecorded } = keepReports();
      const audit = createAccessTokenReadAudit({ db, onUnrecorded, rowsMax: 2 });
      for (const name of ['shop', 'till', 'phone', 'shop']) audit.record(readBy(name));
      await audit.close();
      expect(await readsByBackend(db)).toEqual({ shop: 2, till: 1 });
      expect(reports).toEqual([[true, ['phone 1']]]);
    },
  );

  withDatabase(
    'reports a read that comes after close began as lost, and writes all before it',
    async ({ database }) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const held = holdAnswersOf(database.db);
      const { reports, onUnrecorded } = keepReports();
      const audit = createAccessTokenReadAudit({ db: held.db, onUnrecorded });
      held.hold();
      audit.record(readBy('shop'));
      await vi.advanceTimersByTimeAsync(1_000);
      audit.record(readBy('till'));
      const closing = audit.close();
      audit.record(readBy('phone'));
      held.release();
      await closing;
      expect(await readsByBackend(database.db)).toEqual({ shop: 1, till: 1 });
      expect(reports).toEqual([[true, ['phone 1']]]);
    },
  );

  withDatabase(
    'goes on when onUnrecorded throws, and the process does not crash',
    async ({ database: { db }, databaseUrl }) => {
      const unhandled = vi.fn<(reason: unknown) => void>();
      process.on('unhandledRejection', unhandled);
      onTestFinished(() => void process.off('unhandledRejection', unhandled));
      const proxy = await openPostgresProxy(databaseUrl);
      const own = await openDatabase({ url: proxy.url, poolSizeMax: 1 });
      const onUnrecorded = vi.fn<() => void>(() => {
        throw new Error('a fault of the backend');
      });
      const audit = createAccessTokenReadAudit({ db: own.db, onUnrecorded });
      proxy.setMode('black_hole');
      audit.record(readBy('shop'));
      await eventually('a write fails', () => {
        proxy.cut();
        return onUnrecorded.mock.calls.length > 0;
      });
      proxy.setMode('pass');
      proxy.cut();
      await eventually('it is written', async () => (await readsByBackend(db))['shop'] === 1);
      await audit.close();
      expect(unhandled).not.toHaveBeenCalled();
      await own.close();
      await proxy.close();
    },
  );
});

test('reads change neither the version of a token nor the id of the job that renews it', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await holdDueToken(harness, 'cards', 'app-1');
  const { version } = await harness.row('cards');
  const jobIds: string[] = [];
  for (let scans = 1; scans <= 5; scans += 1) {
    const reader = createAccessTokenReader({ ...harness.dependencies, isSubscribed: () => false });
    await reader.read('cards', { type: 'backend', id: `backend-${scans}` });
    await reader.close();
    jobIds.push(...(await runTokenScan(harness)).map(({ jobId }) => jobId));
  }
  expect(jobIds).toHaveLength(5);
  expect(new Set(jobIds).size).toBe(1);
  expect((await harness.row('cards')).version).toBe(version);
  expect(Object.keys(await readsByBackend(harness.dependencies.db))).toHaveLength(5);
});

test('a direct client tells onFault which reads it could not record', async ({
  openTokenHarness,
  databaseUrl,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const proxy = await openPostgresProxy(databaseUrl);
  const faults: unknown[] = [];
  const client = await openDirectTokenClient({
    databaseUrl: proxy.url,
    encryptionKeys: harness.env['ENCRYPTION_KEYS'] ?? '',
    name: 'till',
    onFault: (fault) => faults.push(fault),
  });
  await client.getAccessToken('cards');
  const { db } = harness.dependencies;
  await eventually('the first is recorded', async () => (await readsByBackend(db))['till'] === 1);
  await proxy.close();
  await client.getAccessToken('cards');
  await client.getAccessToken('cards');
  await client.close();
  const { id: accessTokenId } = await harness.row('cards');
  const told = faults.filter((fault) => fault instanceof UnrecordedReadsError);
  expect(told).toMatchObject([
    {
      isLost: true,
      unrecorded: [
        { accessTokenId, credential: 'cards', generation: 1, reads: 2, backend: 'till' },
      ],
    },
  ]);
  expect(told[0]?.cause).toBeInstanceOf(Error);
});
