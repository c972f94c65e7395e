import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { describe, expect, inject } from 'vitest';
import { openDatabase } from '../../../src/db/connection/database.ts';
import { migrate } from '../../../src/db/connection/migrate.ts';
import { schemaVersion } from '../../../src/db/connection/schema-version.ts';
import { migrations } from '../../../src/db/connection/migrations.ts';
import { onServer, urlOf } from '../../support/services/database.ts';
import { test as base } from '../../support/harness/fixtures.ts';
import { runCli, spawnCli } from '../../support/harness/run-cli.ts';

const test = base.extend('bareUrl', async ({}, { onCleanup }) => {
  const adminUrl = inject('adminUrl');
  const name = `${inject('templateName')}_${randomBytes(4).toString('hex')}`;
  await onServer(adminUrl, async (client) => void (await client.query(`create database ${name}`)));
  onCleanup(async () => {
    await onServer(
      adminUrl,
      async (client) => void (await client.query(`drop database ${name} with (force)`)),
    );
  });
  return urlOf(adminUrl, name);
});

/**
 * Names that don't carry the next number: those after a gap, twins, and whatever is not spelt
 * `0001_some_words`.
 */
function misnumbered(names: readonly string[]): readonly string[] {
  return names.toSorted().filter((name, index) => {
    const number = String(index + 1).padStart(4, '0');
    return !new RegExp(`^${number}(?:_[a-z0-9]+)+$`).test(name);
  });
}

describe('the sequence of migrations', () => {
  const files = readdirSync(new URL('../../../migrations', import.meta.url)).toSorted();

  test('runs from 0001 without a gap or a duplicate number', () => {
    expect(misnumbered(files.map((file) => file.replace(/\.ts$/, '')))).toEqual([]);
  });

  test.for<readonly [string, readonly string[], readonly string[]]>([
    ['a sequence', ['0001_a', '0002_b_c'], []],
    ['a gap', ['0001_a', '0003_b'], ['0003_b']],
    ['a twin', ['0001_a', '0002_b', '0002_c', '0003_d'], ['0002_c', '0003_d']],
    ['a late start', ['0002_a'], ['0002_a']],
    ['a short number', ['0001_a', '2_b'], ['2_b']],
    ['a stray file', ['0001_a', '0002_b.sql'], ['0002_b.sql']],
  ])('%s: the check finds what is misnumbered', ([, names, found]) => {
    expect(misnumbered(names)).toEqual(found);
  });

  test('the list names each file, in order, beside its own module', async () => {
    expect(Object.keys(migrations).map((name) => `${name}.ts`)).toEqual(files);
    for (const [name, migration] of Object.entries(migrations)) {
      const file: unknown = await import(`../../../migrations/${name}.ts`);
      expect(migration, name).toBe(file);
    }
  });
});

/** Applies the migrations before one of them, as an earlier release did. */
async function migrateBefore(url: string, first: string): Promise<void> {
  const before = Object.fromEntries(Object.entries(migrations).filter(([name]) => name < first));
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => await Promise.resolve(before) },
    migrationTableSchema: 'token_lifecycle',
  });
  expect((await migrator.migrateToLatest()).error).toBeUndefined();
  await db.destroy();
}

test('processes of the release before per-request callback URLs still write tokenizations', async ({
  bareUrl,
}) => {
  await migrateBefore(bareUrl, '0023_lost_answer');
  const columns = async (): Promise<readonly string[]> => {
    const names: string[] = [];
    await onServer(bareUrl, async (client) => {
      const { rows } = await client.query<{ name: string }>(
        `select column_name as name from information_schema.columns
         where table_schema = 'token_lifecycle' and table_name in ('tokenization', 'callback', 'delivery')`,
      );
      names.push(...rows.map(({ name }) => name));
    });
    return names;
  };
  const before = await columns();
  await migrate(bareUrl);
  expect(await columns()).toEqual(expect.arrayContaining([...before]));
  await onServer(bareUrl, async (client) => {
    // A column that the former release does not name must have a default, or take null.
    const { rows } = await client.query(
      `select column_name from information_schema.columns
       where table_schema = 'token_lifecycle' and table_name in ('tokenization', 'callback', 'delivery')
       and is_nullable = 'NO' and column_default is null and column_name <> all($1)`,
      [before],
    );
    expect(rows).toEqual([]);
  });
});

test('the worker refuses a database without the latest migration, and accepts it after that migration', async ({
  bareUrl,
}) => {
  const latest = Object.keys(migrations).toSorted().at(-1) ?? '';
  expect(schemaVersion).toBe(latest);
  await migrateBefore(bareUrl, latest);
  await expect(openDatabase({ url: bareUrl, poolSizeMax: 1 })).rejects.toMatchObject({
    code: 'database_schema_outdated',
  });
  expect((await migrate(bareUrl)).applied).toHaveLength(1);
  const database = await openDatabase({ url: bareUrl, poolSizeMax: 1 });
  await database.close();
});

describe('a migration that fails shows its reason to the operator', () => {
  const anotherVersion =
    'Another version of token-lifecycle-worker made this database: use that version, or migrate an empty database.';

  test('an unknown migration: the database is of another version', async ({ databaseUrl }) => {
    await onServer(databaseUrl, async (client) => {
      await client.query(
        `insert into token_lifecycle.kysely_migration values ('0035_expiry_notice', '2026-01-01T00:00:00Z')`,
      );
    });
    expect(await runCli(['migrate'], { DATABASE_URL: databaseUrl })).toEqual({
      code: 1,
      output: `Preparing the migrations failed: corrupted migrations: previously executed migration 0035_expiry_notice is missing. ${anotherVersion}\n`,
    });
  });

  test('known migrations in another order: the database is of another version', async ({
    databaseUrl,
  }) => {
    await onServer(databaseUrl, async (client) => {
      await client.query(`delete from token_lifecycle.kysely_migration where name like '0002%'`);
    });
    await expect(migrate(databaseUrl)).rejects.toMatchObject({
      code: 'database_schema_outdated',
      message: expect.stringMatching(
        /expected previously executed migration 0003_tokenization to be at index 1 but 0002_credential was found .* Another version of/,
      ),
    });
  });

  test('a login without CREATE on the database', async ({ bareUrl }) => {
    const role = `tlw_test_plain_${randomBytes(6).toString('hex')}`;
    const url = new URL(bareUrl);
    url.username = role;
    url.password = 'hunter2';
    await onServer(bareUrl, async (client) => {
      await client.query(`create role ${role} login password 'hunter2'`);
      try {
        expect(await runCli(['migrate'], { DATABASE_URL: url.href })).toEqual({
          code: 1,
          output: `Preparing the migrations failed: permission denied for database ${url.pathname.slice(1)}. It changed nothing; the migrations before it are in place.\n`,
        });
      } finally {
        await client.query(`drop role ${role}`);
      }
    });
  });

  test('a table that is there already', async ({ bareUrl }) => {
    await onServer(bareUrl, async (client) => {
      await client.query('create schema token_lifecycle');
      await client.query('create table token_lifecycle.credential ()');
      await expect(migrate(bareUrl)).rejects.toThrow(
        'Migration 0002_credential failed: relation "credential" already exists. It changed nothing; the migrations before it are in place.',
      );
      const { rows } = await client.query('select name from token_lifecycle.kysely_migration');
      expect(rows).toEqual([{ name: '0001_roles' }]);
    });
  });

  test('a lock that a session holds makes a migration give up soon', async ({ bareUrl }) => {
    await migrateBefore(bareUrl, '0023_lost_answer');
    await onServer(bareUrl, async (client) => {
      await client.query('begin; select from token_lifecycle.tokenization');
      await expect(migrate(bareUrl)).rejects.toThrow(
        'Migration 0023_lost_answer failed: canceling statement due to lock timeout.',
      );
    });
    expect((await migrate(bareUrl)).applied[0]).toBe('0023_lost_answer');
  });

  test('another session that holds the migration lock', async ({ databaseUrl }) => {
    await onServer(databaseUrl, async (client) => {
      // The lock of Kysely's migrator.
      await client.query('select pg_advisory_lock(3853314791062309107)');
      await expect(migrate(databaseUrl, { statementTimeoutMs: 500 })).rejects.toThrow(
        'Preparing the migrations failed: canceling statement due to statement timeout.',
      );
    });
  });

  test('a violated constraint, without the values of the row', async ({ bareUrl }) => {
    await onServer(bareUrl, async (client) => {
      await client.query('create schema token_lifecycle');
      await client.query(
        `create table token_lifecycle.kysely_migration (
          name varchar(255) primary key, timestamp varchar(255) not null,
          secret text not null default 'hunter2' constraint nothing_fits check (secret is null))`,
      );
    });
    const ended = await spawnCli(['migrate'], { DATABASE_URL: bareUrl });
    expect(ended).toEqual({
      code: 1,
      output:
        'Migration 0001_roles failed: new row for relation "kysely_migration" violates check constraint "nothing_fits". It changed nothing; the migrations before it are in place.\n',
    });
  });
});
