import pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { connectionFault } from './connection-fault.ts';
import { schemaVersion } from './schema-version.ts';

/** The role of the worker's statements. It may not change audit rows. */
export const applicationRole = 'token_lifecycle_app';

/** What a login finds behind its URL. */
export interface ServerFacts {
  /**
   * Whether a pooler answers in place of the server. A session's settings and LISTEN may not last
   * there.
   */
  readonly isPooled: boolean;
  /** Whether the login can run statements as `token_lifecycle_app`; the worker has tried it. */
  readonly isRestricted: boolean;
  /** Whether the latest migration has run. */
  readonly isMigrated: boolean;
}

const connectTimeoutMs = 5_000;
const versionMin = 150_000;

/** Connects once and finds out. Throws `database_unavailable`. */
export async function inspectServer(url: string): Promise<ServerFacts> {
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ pid: number; version: number; migrated: boolean }>(
      // A newer release may have migrated further; its schema works with this release.
      `select pg_backend_pid() as pid, current_setting('server_version_num')::integer as version,
        coalesce(obj_description(to_regnamespace('token_lifecycle'), 'pg_namespace') >= $1, false) as migrated`,
      [schemaVersion],
    );
    const { pid = 0, version = versionMin, migrated = false } = rows[0] ?? {};
    if (version < versionMin) {
      throw new AppError(
        'database_unavailable',
        `DATABASE_URL leads to PostgreSQL ${Math.floor(version / 10_000)}; version 15 or newer is needed.`,
      );
    }
    return {
      isPooled: !isOwnServerProcess(client, pid),
      isRestricted: await canTakeRole(client),
      isMigrated: migrated,
    };
  });
}

/** A pooler gives each of its clients a process id of its own. */
export function isOwnServerProcess(client: pg.Client, pid: number): boolean {
  return 'processID' in client && client.processID === pid;
}

/**
 * Tries the role: since PostgreSQL 16 a member may lack the right to SET it. A member who only
 * inherits it could still change audit rows.
 */
async function canTakeRole(client: pg.Client): Promise<boolean> {
  await client.query('begin');
  try {
    await client.query(`set local role ${applicationRole}`);
    return true;
  } catch (error) {
    if (error instanceof pg.DatabaseError && ['22023', '42501'].includes(error.code ?? '')) {
      return false;
    }
    throw error;
  } finally {
    await client.query('rollback');
  }
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
