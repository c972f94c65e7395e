import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { createPool } from './pool.ts';
import { applicationRole, inspectServer, withClient } from './server.ts';

/** The PostgreSQL schema of BullMQ's tables. */
const queueSchema = 'bullmq';

/**
 * A pool for BullMQ's PostgreSQL backend, whose clients find BullMQ's tables without a prefix. Each
 * BullMQ worker keeps one connection to LISTEN on, so the pool must be larger than their number.
 * Throws `config_invalid` for a pooler, behind which LISTEN does not last.
 */
export async function openQueuePool(options: {
  readonly url: string;
  readonly poolSizeMax: number;
  readonly onConnectionError: (error: Error) => void;
}): Promise<pg.Pool> {
  const { isPooled, isRestricted } = await inspectServer(options.url);
  if (isPooled) {
    throw new AppError(
      'config_invalid',
      'LISTEN_DATABASE_URL: set it to the URL of the server without a pooler; queues on PostgreSQL need LISTEN, which does not last behind one.',
    );
  }
  const pool = createPool({
    ...options,
    applicationName: 'token-lifecycle-queues',
    isPooled: false,
    session: {
      schema: queueSchema,
      role: isRestricted ? applicationRole : undefined,
      statementTimeoutMs: 0,
      idleInTransactionTimeoutMs: 0,
    },
  });
  // Each queue and worker adds a listener to the shared pool, so many listeners are no leak.
  pool.setMaxListeners(64);
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
        -- PostgreSQL refuses concurrent grants on one object: "tuple concurrently updated".
        perform pg_advisory_xact_lock(hashtextextended('token-lifecycle queue grants', 0));
        if exists (select from pg_roles where rolname = '${applicationRole}') then
          grant usage, create on schema ${queueSchema} to ${applicationRole};
          grant select, insert, update, delete on all tables in schema ${queueSchema} to ${applicationRole};
          grant usage, select on all sequences in schema ${queueSchema} to ${applicationRole};
          grant execute on all functions in schema ${queueSchema} to ${applicationRole};
        end if;
      end $$`);
  });
}
