import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { describe, expect, inject } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations.ts';
import { onServer, urlOf } from '../support/services/database.ts';
import { test as base } from '../support/harness/fixtures.ts';

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

/** Names that don't carry the next number: those after a gap, twins, and whatever is not spelt `0001_some_words`. */
function misnumbered(names: readonly string[]): readonly string[] {
  return names.toSorted().filter((name, index) => {
    const number = String(index + 1).padStart(4, '0');
    return !new RegExp(`^${number}(?:_[a-z0-9]+)+$`).test(name);
  });
}

describe('the sequence of migrations', () => {
  const files = readdirSync(new URL('../../migrations', import.meta.url)).toSorted();

  test('runs from 0001 without a gap or a twin', () => {
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
      const file: unknown = await import(`../../migrations/${name}.ts`);
      expect(migration, name).toBe(file);
    }
  });
});

test('a database that lacks the latest migration alone is refused, and taken once it is migrated', async ({
  bareUrl,
}) => {
  const latest = Object.keys(migrations).toSorted().at(-1);
  const before = Object.fromEntries(
    Object.entries(migrations).filter(([migration]) => migration !== latest),
  );
  const pool = new pg.Pool({ connectionString: bareUrl, max: 2 });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => await Promise.resolve(before) },
    migrationTableSchema: 'token_lifecycle',
  });
  expect((await migrator.migrateToLatest()).error).toBeUndefined();
  await db.destroy();
  await expect(openDatabase({ url: bareUrl, poolSizeMax: 1 })).rejects.toMatchObject({
    code: 'database_schema_outdated',
  });
  expect((await migrate(bareUrl)).applied).toHaveLength(1);
  const database = await openDatabase({ url: bareUrl, poolSizeMax: 1 });
  await database.close();
});
