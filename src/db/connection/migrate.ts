import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, type MigrationResultSet, Migrator } from 'kysely/migration';
import { AppError } from '../../domain/errors.ts';
import { auditMonthsAhead } from '../audit.ts';
import { migrations } from './migrations.ts';
import { createPool } from './pool.ts';
import { applicationRole, inspectServer } from './server.ts';

/** What a migration run did. */
export interface MigrationReport {
  /**
   * Names of the migrations that this run applied, in order; empty when there was nothing to do.
   */
  readonly applied: readonly string[];
}

/** Bounds each statement, and so the wait for a lock as much as the building of an index. */
const statementTimeoutDefaultMs = 60_000;

/**
 * Brings schema `token_lifecycle` up to date, as the owner that the URL logs in as. Each migration
 * commits by itself, so that its locks last no longer than it does, under an advisory lock: any
 * number of processes may call this concurrently. Throws `database_schema_outdated` with the reason
 * of a failure; the migrations before the one that failed are in place.
 */
export async function migrate(
  databaseUrl: string,
  { statementTimeoutMs = statementTimeoutDefaultMs }: { readonly statementTimeoutMs?: number } = {},
): Promise<MigrationReport> {
  const { isPooled } = await inspectServer(databaseUrl);
  const pool = createPool({
    url: databaseUrl,
    applicationName: 'token-lifecycle-migrate',
    poolSizeMax: 2,
    isPooled,
    session: { statementTimeoutMs, idleInTransactionTimeoutMs: statementTimeoutMs },
  });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => namedMigrations },
      migrationTableSchema: 'token_lifecycle',
    });
    const applied = await applyPending(migrator);
    // A database without the partition of this month refuses every change; this run creates it.
    await sql`select token_lifecycle.ensure_audit_partitions(${auditMonthsAhead})`.execute(db);
    await ensureRoleCanBeSet(db);
    return { applied };
  } finally {
    await db.destroy();
  }
}

async function applyPending(migrator: Migrator): Promise<readonly string[]> {
  const applied: string[] = [];
  for (;;) {
    const outcome = await migrator.migrateUp();
    if (outcome.error !== undefined) throw migrationFault(outcome);
    const names = (outcome.results ?? []).map((result) => result.migrationName);
    if (names.length === 0) return applied;
    applied.push(...names);
  }
}

/** A migration that waits for a lock makes all others wait behind it, so it soon gives up. */
const lockTimeout = '5s';

/**
 * The migrations, each of which also writes its name as the comment of the schema. Any login may
 * read that comment, so `openDatabase` compares it with the latest migration of its release.
 */
const namedMigrations: Readonly<Record<string, Migration>> = Object.fromEntries(
  Object.entries(migrations).map(([name, migration]) => [
    name,
    {
      async up(db) {
        await sql`set local lock_timeout = ${sql.lit(lockTimeout)}`.execute(db);
        await migration.up(db);
        await sql`comment on schema token_lifecycle is ${sql.lit(name)}`.execute(db);
      },
    },
  ]),
);

/**
 * Grants the login the right to run as the application role, if it may grant that. Since PostgreSQL
 * 16 a role that creates another is its member without the right to SET it. Every run does this,
 * since the roles of a server don't move with a database.
 */
async function ensureRoleCanBeSet(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare
      privilege text := case
        when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
    begin
      if exists (select from pg_roles where rolname = ${sql.lit(applicationRole)})
        and not pg_has_role(current_user, ${sql.lit(applicationRole)}, privilege) then
        execute format('grant %I to %I', ${sql.lit(applicationRole)}, current_user);
      end if;
    exception
      when insufficient_privilege then
        raise notice 'an administrator has to grant the application role to the login';
      when unique_violation or internal_error then
        null; -- a concurrent run has granted it
    end $$`.execute(db);
}

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
    : 'It changed nothing; the migrations before it are in place.';
  return new AppError('database_schema_outdated', `${step} failed: ${reason}. ${advice}`, {
    cause: error,
  });
}
