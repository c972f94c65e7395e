import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import { AppError } from '../../domain/errors.ts';
import { createPool } from './pool.ts';
import type { Schema } from '../schema.ts';
import { applicationRole, inspectServer } from './server.ts';
import { writeProbe } from './write-probe.ts';

export { handlePoolErrors } from './pool.ts';
export { applicationRole, withClient } from './server.ts';

/** A connection pool or an open transaction. Queries take either, so that they compose. */
export type Db = Kysely<Schema> | Transaction<Schema>;

/** The database of a process. */
export interface Database {
  readonly db: Kysely<Schema>;
  /** Whether statements run as `token_lifecycle_app`, which can't change audit rows. */
  readonly isRestricted: boolean;
  /** Whether a pooler stands in front of the server, where LISTEN may not last. */
  readonly isPooled: boolean;
  readonly close: () => Promise<void>;
}

/** How to connect. Times are in milliseconds. */
export interface DatabaseOptions {
  readonly url: string;
  readonly poolSizeMax: number;
  readonly statementTimeoutMs?: number;
  readonly connectionAgeMsMax?: number;
  /** Called when an idle connection breaks. The pool replaces it. */
  readonly onConnectionError?: (error: Error) => void;
}

/**
 * Well below the 30 s lease in which a gateway reply must be committed: a silent connection times
 * out early enough for another try.
 */
const statementTimeoutDefaultMs = 8_000;

/** A row that a person has locked must not hold up the statements of other rows. */
const lockTimeoutMs = 2_000;

/**
 * Opens the pool, as the application role if the login can take it. Throws `database_unavailable`
 * or `database_schema_outdated`, with a message that names what to change.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { isPooled, isRestricted, isMigrated } = await inspectServer(options.url);
  if (!isMigrated) {
    throw new AppError(
      'database_schema_outdated',
      'The database has no up-to-date token_lifecycle schema: run "token-worker migrate" first.',
    );
  }
  // The server ends longer statements and the pool closes longer idle connections, so a healthy
  // connection is never silent for longer than this.
  const silenceMsMax = options.statementTimeoutMs ?? statementTimeoutDefaultMs;
  const pool = createPool({
    ...options,
    applicationName: 'token-lifecycle-worker',
    isPooled,
    silenceMsMax,
    idleTimeoutMs: silenceMsMax,
    session: {
      schema: 'token_lifecycle',
      role: isRestricted ? applicationRole : undefined,
      statementTimeoutMs: silenceMsMax,
      lockTimeoutMs: Math.min(lockTimeoutMs, silenceMsMax),
      idleInTransactionTimeoutMs: silenceMsMax,
    },
  });
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return { db, isRestricted, isPooled, close: () => db.destroy() };
}

/** Resolves if the database answers. */
export async function pingDatabase(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

/** Resolves if the database takes writes. */
export async function proveDatabaseWrite(db: Db): Promise<void> {
  await sql.raw(writeProbe('scan_run', 'name')).execute(db);
}

/** The role that the worker's statements run as. */
export async function findCurrentRole(db: Db): Promise<string> {
  const { rows } = await sql<{ role: string }>`select current_user as role`.execute(db);
  return rows[0]?.role ?? '';
}

/** The time on the database's clock, which leases and expiry are compared with. */
export async function databaseNow(db: Db): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  return rows[0]?.now ?? new Date(Number.NaN);
}
