import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { databaseNow, type Database, openDatabase } from '../../../src/db/connection/database.ts';
import { isDatabaseOutage } from '../../../src/db/connection/faults.ts';
import { findScanAges } from '../../../src/db/scan-runs.ts';
import { eventually } from '../../support/eventually.ts';
import { test } from '../../support/harness/fixtures.ts';
import { onServer } from '../../support/services/database.ts';

async function open(url: string, options: { connectionAgeMsMax?: number } = {}): Promise<Database> {
  const database = await openDatabase({ url, poolSizeMax: 3, ...options });
  onTestFinished(database.close);
  return database;
}

async function processId({ db }: Pick<Database, 'db'>): Promise<number | undefined> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
  return rows[0]?.pid;
}

/** Creates a login until the test ends, and returns the URL with it. */
async function createLogin(
  url: string,
  attributes: string,
  presets: readonly string[] = [],
): Promise<URL> {
  const name = `tlw_test_login_${randomBytes(6).toString('hex')}`;
  await onServer(url, async (client) => {
    await client.query(
      `create role ${name} login password 'hunter2' ${attributes} in role token_lifecycle_app`,
    );
    for (const preset of presets) await client.query(`alter role ${name} set ${preset}`);
  });
  onTestFinished(async () => {
    await onServer(
      inject('adminUrl'),
      async (client) => void (await client.query(`drop role ${name}`)),
    );
  });
  const login = new URL(url);
  login.username = name;
  login.password = 'hunter2';
  return login;
}

describe('presets of server, database or role', () => {
  const presets = [
    `search_path = 'pg_catalog'`,
    `datestyle = 'German, DMY'`,
    `intervalstyle = 'sql_standard'`,
    `timezone = 'Pacific/Auckland'`,
    `bytea_output = 'escape'`,
    `extra_float_digits = -10`,
    `standard_conforming_strings = off`,
    `array_nulls = off`,
    `transform_null_equals = on`,
    `exit_on_error = on`,
    `synchronous_commit = off`,
    `statement_timeout = '2 s'`,
    `lock_timeout = '2 s'`,
    `idle_session_timeout = '2 s'`,
    `idle_in_transaction_session_timeout = '2 s'`,
    `default_transaction_isolation = serializable`,
    `default_transaction_deferrable = on`,
  ];

  test('change nothing that the worker reads or runs', async ({ databaseUrl }) => {
    const plain = await open(databaseUrl);
    const read = async (database: Database): Promise<unknown> => {
      const { rows } = await sql`
        select current_schema() as schema, now() - now() as nothing, interval '1 day 2 hours' as span,
          '2026-11-27 12:00:00+00'::timestamptz as at, '2026-11-27'::date::text as day,
          decode('00ff', 'hex') as bytes, 0.1::float8 + 0.2::float8 as sum, length('a\\b') as length,
          '{a,NULL}'::text[] as list, (null = null) is null as unknown, current_user as role,
          (select json_object_agg(name, setting) from pg_settings where name like '%timeout%'
            or name in ('synchronous_commit', 'transaction_isolation', 'transaction_deferrable', 'exit_on_error')) as settings
      `.execute(database.db);
      return { rows, ages: [...(await findScanAges(database.db)).keys()] };
    };
    const expected = await read(plain);
    expect(JSON.stringify(expected)).toContain('"synchronous_commit":"on"');
    const preset = await open((await createLogin(databaseUrl, '', presets)).href);
    expect(await read(preset)).toEqual(expected);
    expect(Math.abs((await databaseNow(preset.db)).getTime() - Date.now())).toBeLessThan(60_000);
  });

  test.for([
    ['default_transaction_read_only = on', '25006'],
    ['session_replication_role = replica', 'session_replication_role'],
  ] as const)(
    '%s is refused, since the worker may not overrule it',
    async ([preset, word], { databaseUrl }) => {
      const login = await createLogin(databaseUrl, '', [preset]);
      const database = await open(login.href);
      const fault: unknown = await databaseNow(database.db).catch((error: unknown) => error);
      expect(fault).toMatchObject({
        code: 'database_unavailable',
        message: expect.stringContaining(word),
      });
      expect(isDatabaseOutage(fault)).toBe(true);
    },
  );
});

test('a connection that is never idle is replaced when it has reached its age', async ({
  databaseUrl,
}) => {
  const database = await open(databaseUrl, { connectionAgeMsMax: 200 });
  const first = await processId(database);
  await eventually('another connection', async () => (await processId(database)) !== first);
});

test('a login that has used up its connections gets an error that says so', async ({
  databaseUrl,
}) => {
  const login = await createLogin(databaseUrl, 'connection limit 1');
  await onServer(login.href, async () => {
    await expect(openDatabase({ url: login.href, poolSizeMax: 1 })).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringMatching(
        /has too many connections \(53300\): raise its max_connections/,
      ),
    });
  });
});
