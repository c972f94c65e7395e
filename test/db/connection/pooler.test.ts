import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { findAuditBreaks } from '../../../src/db/audit.ts';
import { type Database, openDatabase } from '../../../src/db/connection/database.ts';
import { isUniqueViolation } from '../../../src/db/connection/faults.ts';
import { migrate } from '../../../src/db/connection/migrate.ts';
import { findTokenization } from '../../../src/db/tokenizations.ts';
import { generateEncryptionKey } from '../../../src/security/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { test as base } from '../../support/harness/fixtures.ts';
import { runCli } from '../../support/harness/run-cli.ts';
import { openShop } from '../../support/harness/shop.ts';
import { backends, startTestWorker } from '../../support/harness/worker.ts';
import { onServer, urlOf } from '../../support/services/database.ts';
import { hasPgBouncer, type PoolMode, startPgBouncer } from '../../support/services/pgbouncer.ts';

const isThere = await hasPgBouncer();
const test = base.skipIf(!isThere);
const modes: readonly PoolMode[] = ['transaction', 'session'];

async function open(url: string): Promise<Database> {
  const database = await openDatabase({ url, poolSizeMax: 8 });
  onTestFinished(database.close);
  return database;
}

const facts = sql<{ role: string; path: string; limit: string; style: string; sum: number }>`
  select current_user as role, current_setting('search_path') as path,
    current_setting('statement_timeout') as limit, current_setting('datestyle') as style,
    ${1}::integer + 1 as sum`;

const expected = {
  role: 'token_lifecycle_app',
  path: 'token_lifecycle',
  limit: '8s',
  style: 'ISO, MDY',
  sum: 2,
};

describe.for(modes)('PgBouncer in %s mode', (mode) => {
  test('each statement and transaction runs with role, search_path and limits of the worker, on whatever connection', async ({
    databaseUrl,
  }) => {
    const { db, isPooled, isRestricted } = await open(await startPgBouncer(databaseUrl, mode));
    expect({ isPooled, isRestricted }).toEqual({ isPooled: true, isRestricted: true });
    const alone = Array.from({ length: 30 }, async () => (await facts.execute(db)).rows);
    const inside = Array.from({ length: 30 }, async () =>
      db.transaction().execute(async (trx) => {
        const first = (await facts.execute(trx)).rows;
        return [...first, ...(await facts.execute(trx)).rows];
      }),
    );
    const rows = (await Promise.all([...alone, ...inside])).flat();
    expect(rows).toHaveLength(90);
    for (const row of rows) expect(row).toEqual(expected);
  });

  test('no setting reaches another client of the pooler', async ({ databaseUrl }) => {
    const through = await startPgBouncer(databaseUrl, mode);
    const { db } = await open(through);
    const other = new pg.Client({ connectionString: through });
    other.on('error', () => undefined);
    await other.connect();
    onTestFinished(async () => await other.end());
    const own = `select current_user = session_user as own, current_setting('search_path') as path`;
    for (let count = 0; count < 20; count += 1) {
      await Promise.all([facts.execute(db), facts.execute(db)]);
      const { rows } = await other.query(own);
      expect(rows).toEqual([{ own: true, path: '"$user", public' }]);
    }
  });

  test('errors, roll-backs and statements without rows come back as from the server', async ({
    databaseUrl,
  }) => {
    const { db } = await open(await startPgBouncer(databaseUrl, mode));
    const add = sql`insert into scan_run (name, finished_at) values (${'probe'}, now())`;
    const done = await add.execute(db);
    expect(done).toMatchObject({ numAffectedRows: 1n, rows: [] });
    const fault: unknown = await add.execute(db).catch((error: unknown) => error);
    expect(isUniqueViolation(fault)).toBe(true);
    await expect(
      db.transaction().execute(async (trx) => {
        await sql`update scan_run set name = ${'other'} where name = ${'probe'}`.execute(trx);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    const { rows } = await sql`select name from scan_run where name = 'probe'`.execute(db);
    expect(rows).toEqual([{ name: 'probe' }]);
  });

  test.for(mode === 'session' ? (['redis'] as const) : backends)(
    'a worker does its work through it (queues on %s)',
    async (backend, { databaseUrl }) => {
      const through = await startPgBouncer(databaseUrl, mode);
      const worker = await startTestWorker({
        databaseUrl: through,
        backend,
        env: { LISTEN_DATABASE_URL: databaseUrl },
      });
      if (worker === undefined) throw new Error('there is no Redis');
      try {
        const shop = openShop(worker);
        const ids = await Promise.all(
          Array.from(
            { length: 10 },
            async () => (await shop.accept({ remark: 'sandbox:direct' })).tokenization.id,
          ),
        );
        await eventually('all become active', async () => {
          const { db } = worker.app.operations;
          const rows = await Promise.all(ids.map(async (id) => await findTokenization(db, id)));
          return rows.every((row) => row?.state === 'active');
        });
        expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
        expect(worker.logs.filter((line) => line.includes('LISTEN connection lost'))).toEqual([]);
      } finally {
        await worker.close();
      }
    },
  );
});

describe('without a direct URL', () => {
  test('the worker polls and says which variable to set; queues on PostgreSQL are refused', async ({
    databaseUrl,
  }) => {
    const through = await startPgBouncer(databaseUrl, 'transaction');
    const worker = await startTestWorker({ databaseUrl: through, backend: 'redis' });
    if (worker === undefined) throw new Error('there is no Redis');
    try {
      const { tokenization } = await openShop(worker).accept({ remark: 'sandbox:direct' });
      await eventually('it becomes active', async () => {
        const row = await findTokenization(worker.app.operations.db, tokenization.id);
        return row?.state === 'active';
      });
      await eventually('the worker says what to set', () =>
        worker.logs.some(
          (line) =>
            line.includes('LISTEN connection lost') && line.includes('LISTEN_DATABASE_URL: set it'),
        ),
      );
    } finally {
      await worker.close();
    }
    await expect(
      startTestWorker({ databaseUrl: through, backend: 'postgres' }),
    ).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('LISTEN_DATABASE_URL: set it'),
    });
  });

  test('doctor says what it found: the role through the pooler, and that LISTEN is missing', async ({
    databaseUrl,
    redis,
  }) => {
    const env = {
      DATABASE_URL: await startPgBouncer(databaseUrl, 'transaction'),
      REDIS_URL: redis.url,
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    };
    const without = await runCli(['doctor'], env);
    expect(without.output).toContain('ok  the worker runs as token_lifecycle_app');
    expect(without.output).toContain('!!  LISTEN_DATABASE_URL: set it');
    expect(without.code).toBe(1);
    const direct = await runCli(['doctor'], { ...env, LISTEN_DATABASE_URL: databaseUrl });
    expect(direct).toMatchObject({ code: 0 });
    expect(direct.output).toContain('ok  notifications of PostgreSQL arrive');
  });

  test('an empty database is migrated through the pooler', async () => {
    const name = `${inject('templateName')}_pooled`;
    const adminUrl = inject('adminUrl');
    await onServer(
      adminUrl,
      async (client) => void (await client.query(`create database ${name}`)),
    );
    onTestFinished(async () => {
      await onServer(
        adminUrl,
        async (client) => void (await client.query(`drop database ${name} with (force)`)),
      );
    });
    const through = await startPgBouncer(urlOf(adminUrl, name), 'transaction');
    expect((await migrate(through)).applied.length).toBeGreaterThan(20);
    expect((await open(through)).isRestricted).toBe(true);
  });
});

test('a PgBouncer without a free client slot is named with the settings to change', async ({
  databaseUrl,
}) => {
  const through = await startPgBouncer(databaseUrl, 'transaction', ['max_client_conn = 1']);
  // The probe of the start may still hold the only slot.
  const holder = await eventually('the slot is taken', async () => {
    const client = new pg.Client(through);
    return await client.connect().then(
      () => client,
      () => undefined,
    );
  });
  onTestFinished(async () => await holder.end());
  await expect(open(through)).rejects.toMatchObject({
    code: 'database_unavailable',
    message: expect.stringMatching(
      /takes no more connections \(08P01\): raise its max_client_conn/,
    ),
  });
});
