import type pg from 'pg';
import { inject } from 'vitest';
import { startEmbeddedPostgres } from '../../../src/db/connection/embedded-postgres.ts';
import { migrate } from '../../../src/db/connection/migrate.ts';
import { migrateQueueSchema } from '../../../src/queues/postgres-schema.ts';
import { createTestDatabase, onServer, type TestDatabase } from '../services/database.ts';

/**
 * A migrated database on a server that can prepare transactions: the server of this run, if its
 * `max_prepared_transactions` is above the default 0, or an embedded one. If there is neither,
 * resolves to a text that says why.
 */
export async function findTwoPhaseDatabase(): Promise<TestDatabase | string> {
  if ((await preparedMax(inject('adminUrl'))) > 0) return await createTestDatabase();
  try {
    const server = await startEmbeddedPostgres({ max_prepared_transactions: '4', fsync: 'off' });
    await migrate(server.url);
    await migrateQueueSchema(server.url);
    return { url: server.url, drop: server.close };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `max_prepared_transactions is 0 here, and there is no embedded PostgreSQL: ${reason}`;
  }
}

async function preparedMax(url: string): Promise<number> {
  let setting = '0';
  await onServer(url, async (client: pg.Client) => {
    const { rows } = await client.query<{ max_prepared_transactions: string }>(
      'show max_prepared_transactions',
    );
    setting = rows[0]?.max_prepared_transactions ?? '0';
  });
  return Number(setting);
}
