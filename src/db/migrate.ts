import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, type MigrationResultSet, Migrator } from 'kysely/migration';
import pg from 'pg';
import { AppError } from '../domain/errors.ts';
import { handlePoolErrors, withClient } from './database.ts';
import { migrations } from './migrations.ts';

/** What a migration run did. */
export interface MigrationReport {
  /**
   * Names of the migrations that this run applied, in order; empty when there was nothing to do.
   */
  readonly applied: readonly string[];
}

/** Bounds each statement, and so the wait for a lock as much as the building of an index. */
const statementTimeoutMs = 60_000;

/**
 * Brings schema `token_lifecycle` up to date, as the owner that the URL logs in as. All pending
 * migrations commit together or not at all, under an advisory lock: any number of processes may
 * call this at once. Throws `database_schema_outdated` with the reason of a failure.
 */
export async function migrate(databaseUrl: string): Promise<MigrationReport> {
  await withClient(databaseUrl, async () => undefined);
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 2,
    statement_timeout: statementTimeoutMs,
    application_name: 'token-lifecycle-migrate',
  });
  handlePoolErrors(pool, () => undefined);
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => namedMigrations },
      migrationTableSchema: 'token_lifecycle',
    });
    const outcome = await migrator.migrateToLatest();
    if (outcome.error !== undefined) throw migrationFault(outcome);
    return { applied: (outcome.results ?? []).map((result) => result.migrationName) };
  } finally {
    await db.destroy();
  }
}

/**
 * The migrations, each of which also writes its name as the comment of the schema. Any login may
 * read that comment, so `openDatabase` compares it with the latest migration of its release.
 */
const namedMigrations: Readonly<Record<string, Migration>> = Object.fromEntries(
  Object.entries(migrations).map(([name, migration]) => [
    name,
    {
      async up(db) {
        await migration.up(db);
        await sql`comment on schema token_lifecycle is ${sql.lit(name)}`.execute(db);
      },
    },
  ]),
);

/**
 * Tells the operator which migration failed and why. PostgreSQL's message names tables, roles and
 * constraints; its `detail` may hold the values of a row, so it is left out.
 */
function migrationFault({ error, results }: MigrationResultSet): AppError {
  const reason = (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
  const failed = results?.find((result) => result.status === 'Error')?.migrationName;
  const step = failed === undefined ? 'Preparing the migrations' : `Migration ${failed}`;
  // Kysely starts with these words when the database has other migrations, or in another order.
  const advice = reason.startsWith('corrupted migrations:')
    ? 'Another version of token-lifecycle-worker made this database: use that version, or migrate an empty database.'
    : 'No migration was applied.';
  return new AppError('database_schema_outdated', `${step} failed: ${reason}. ${advice}`, {
    cause: error,
  });
}
