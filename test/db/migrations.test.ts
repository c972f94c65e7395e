import { randomBytes } from 'node:crypto';
import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations.ts';
import { onServer, urlOf } from '../support/services/database.ts';

test('a database that lacks the latest migration alone is refused, and taken once it is migrated', async () => {
  const adminUrl = inject('adminUrl');
  const name = `${inject('templateName')}_${randomBytes(4).toString('hex')}`;
  await onServer(adminUrl, async (client) => void (await client.query(`create database ${name}`)));
  const url = urlOf(adminUrl, name);
  try {
    const latest = Object.keys(migrations).toSorted().at(-1);
    const before = Object.fromEntries(
      Object.entries(migrations).filter(([migration]) => migration !== latest),
    );
    const pool = new pg.Pool({ connectionString: url, max: 2 });
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => await Promise.resolve(before) },
      migrationTableSchema: 'token_lifecycle',
    });
    expect((await migrator.migrateToLatest()).error).toBeUndefined();
    await db.destroy();
    await expect(openDatabase({ url, poolSizeMax: 1 })).rejects.toMatchObject({
      code: 'database_schema_outdated',
    });
    expect((await migrate(url)).applied).toHaveLength(1);
    const database = await openDatabase({ url, poolSizeMax: 1 });
    await database.close();
  } finally {
    await onServer(
      adminUrl,
      async (client) => void (await client.query(`drop database ${name} with (force)`)),
    );
  }
});
