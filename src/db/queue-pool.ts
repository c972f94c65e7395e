import pg from 'pg';
import { applicationRole, handlePoolErrors, withClient } from './database.ts';

/** The PostgreSQL schema of BullMQ's tables. */
const queueSchema = 'bullmq';

/**
 * A pool for BullMQ's PostgreSQL backend, whose clients find BullMQ's tables without a prefix. Each
 * BullMQ worker keeps one connection to LISTEN on, so the pool must be larger than their number.
 */
export function createQueuePool(options: {
  readonly url: string;
  readonly poolSizeMax: number;
  readonly isRestricted: boolean;
  readonly onConnectionError: (error: Error) => void;
}): pg.Pool {
  const role = options.isRestricted ? ` -c role=${applicationRole}` : '';
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSizeMax,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    application_name: 'token-lifecycle-queues',
    options: `-c search_path=${queueSchema}${role}`,
  });
  // Each queue and worker adds a listener to the shared pool, so many listeners are no leak.
  pool.setMaxListeners(64);
  handlePoolErrors(pool, options.onConnectionError);
  return pool;
}

/**
 * Migrates BullMQ's schema as the owner that the URL logs in as, and grants the application role
 * its use. BullMQ creates a sequence when a queue is first used, so the role may create in this
 * schema.
 */
export async function migrateQueues(
  databaseUrl: string,
  runMigrations: (client: pg.Client, schema: string) => Promise<unknown>,
): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await runMigrations(client, queueSchema);
    await client.query(`
      do $$
      begin
        if exists (select from pg_roles where rolname = '${applicationRole}') then
          grant usage, create on schema ${queueSchema} to ${applicationRole};
          grant select, insert, update, delete on all tables in schema ${queueSchema} to ${applicationRole};
          grant usage, select on all sequences in schema ${queueSchema} to ${applicationRole};
          grant execute on all functions in schema ${queueSchema} to ${applicationRole};
        end if;
      end $$`);
  });
}
