import { Socket } from 'node:net';
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import pg from 'pg';
import { AppError } from '../domain/errors.ts';
import { schemaVersion } from './schema-version.ts';
import type { Schema } from './schema.ts';

/** A connection pool or an open transaction. Queries take either, so that they compose. */
export type Db = Kysely<Schema> | Transaction<Schema>;

/** The database of a process. */
export interface Database {
  readonly db: Kysely<Schema>;
  /** Whether statements run as `token_lifecycle_app`, which can't change audit rows. */
  readonly isRestricted: boolean;
  readonly close: () => Promise<void>;
}

/** How to connect. Times are in milliseconds. */
export interface DatabaseOptions {
  readonly url: string;
  readonly poolSizeMax: number;
  readonly statementTimeoutMs?: number;
  /** Called when an idle connection breaks. The pool replaces it. */
  readonly onConnectionError?: (error: Error) => void;
}

/** The role of the worker's statements. It may not change audit rows. */
export const applicationRole = 'token_lifecycle_app';
const connectTimeoutMs = 5_000;
/**
 * Well below the lease of a reply in hand (30 s): a connection that went silent is given up in time
 * for the next try.
 */
const statementTimeoutDefaultMs = 8_000;
/** The margin between the server's longest legal silence and the moment the socket is given up. */
const silenceGraceMs = 2_000;

/**
 * Opens the pool, as the application role if the login is a member of it. Throws
 * `database_unavailable` or `database_schema_outdated`, with a message that names what to change.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const isRestricted = await canTakeRole(options.url);
  const pool = createPool(options, isRestricted ? `-c role=${applicationRole}` : '');
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return { db, isRestricted, close: () => db.destroy() };
}

/** A pool whose clients find the tables of schema `token_lifecycle` without a prefix. */
function createPool(options: DatabaseOptions, roleOption: string): pg.Pool {
  // The server ends longer statements and the pool closes longer idle connections, so a healthy
  // connection is never silent for longer than this.
  const silenceMsMax = options.statementTimeoutMs ?? statementTimeoutDefaultMs;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSizeMax,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: silenceMsMax,
    statement_timeout: silenceMsMax,
    idle_in_transaction_session_timeout: silenceMsMax,
    stream: () => socketWithTimeout(silenceMsMax + silenceGraceMs),
    application_name: 'token-lifecycle-worker',
    keepAlive: true,
    options: `-c search_path=token_lifecycle ${roleOption}`.trim(),
  });
  handlePoolErrors(pool, (error) => options.onConnectionError?.(error));
  return pool;
}

/**
 * A socket that breaks after `silenceMsMax` without traffic. If the server hangs or the network
 * drops packets, no server timeout applies, and TCP would let callers wait for minutes. pg's
 * query_timeout is no help: it leaves the dead connection in the pool.
 */
function socketWithTimeout(silenceMsMax: number): Socket {
  const socket = new Socket();
  return socket.setTimeout(silenceMsMax, () => {
    const fault = new Error('PostgreSQL was silent for too long');
    socket.destroy(Object.assign(fault, { code: 'ETIMEDOUT' }));
  });
}

/**
 * Adds an error listener to a pool and to each of its connections. The pool reports errors of idle
 * connections only, and an error event without a listener ends the process.
 */
export function handlePoolErrors(pool: pg.Pool, onBreak: (error: Error) => void): void {
  pool.on('error', onBreak);
  pool.on('connect', (client) => client.on('error', () => undefined));
}

async function canTakeRole(url: string): Promise<boolean> {
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ migrated: boolean; member: boolean }>(
      // A newer release may have migrated further; its schema works with this release.
      `select coalesce(obj_description(to_regnamespace('token_lifecycle'), 'pg_namespace') >= $2, false) as migrated,
        exists (select from pg_roles where rolname = $1) and pg_has_role(current_user, $1, 'member') as member`,
      [applicationRole, schemaVersion],
    );
    if (rows[0]?.migrated !== true) {
      throw new AppError(
        'database_schema_outdated',
        'The database has no up-to-date token_lifecycle schema: run "token-worker migrate" first.',
      );
    }
    return rows[0].member;
  });
}

/**
 * Runs `use` on a connection outside the pool. Connection faults become `database_unavailable`,
 * with a message that names the host but never the credentials of the URL.
 */
export async function withClient<Result>(
  url: string,
  use: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: 'token-lifecycle-worker',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    throw connectionFault(url, cause);
  }
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** Resolves if the database answers. */
export async function pingDatabase(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

/** The time on the database's clock, which leases and expiry are compared with. */
export async function databaseNow(db: Db): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  return rows[0]?.now ?? new Date(Number.NaN);
}

function connectionFault(url: string, cause: unknown): AppError {
  const place = hostAndPortOf(url);
  const code = hasCode(cause) ? cause.code : undefined;
  if (code === '3D000') {
    return new AppError(
      'database_unavailable',
      `The database named in DATABASE_URL does not exist on ${place}: create it or correct the name.`,
      { cause },
    );
  }
  if (code === '28P01' || code === '28000') {
    return new AppError(
      'database_unavailable',
      `PostgreSQL on ${place} refused the user or password in DATABASE_URL.`,
      { cause },
    );
  }
  return new AppError(
    'database_unavailable',
    `PostgreSQL does not answer on ${place}: start it, or correct DATABASE_URL.`,
    { cause },
  );
}

function hostAndPortOf(url: string): string {
  try {
    const { hostname, port } = new URL(url);
    return `${hostname === '' ? 'the local socket' : hostname}:${port === '' ? '5432' : port}`;
  } catch {
    return 'the host in DATABASE_URL';
  }
}

function hasCode(error: unknown): error is { code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}
