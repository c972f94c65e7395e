import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { AppError } from '../domain/errors.ts';
import { handlePoolErrors, withClient } from './database.ts';
import { migrations } from './migrations.ts';

/** What a migration run did. */
export interface MigrationReport {
  /** Names of the migrations that this run applied, in order; empty when there was nothing to do. */
  readonly applied: readonly string[];
}

const lockWaitMs = 60_000;

/**
 * Brings schema `token_lifecycle` up to date, as the owner that the URL logs in as. All pending migrations commit together
 * or not at all, under an advisory lock: any number of processes may call this at once.
 */
export async function migrate(databaseUrl: string): Promise<MigrationReport> {
  await withClient(databaseUrl, async () => undefined);
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 2,
    statement_timeout: lockWaitMs,
    application_name: 'token-lifecycle-migrate',
  });
  handlePoolErrors(pool, () => undefined);
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => migrations },
      migrationTableSchema: 'token_lifecycle',
    });
    const { error, results } = await migrator.migrateToLatest();
    if (error !== undefined) {
      const failed = results?.find((result) => result.status === 'Error')?.migrationName;
      throw new AppError(
        'database_schema_outdated',
        `Migration ${failed ?? 'set-up'} failed; nothing was changed.`,
        { cause: error },
      );
    }
    return { applied: (results ?? []).map((result) => result.migrationName) };
  } finally {
    await db.destroy();
  }
}
