import { runMigrations } from 'bullmq';
import { migrateQueues } from '../db/connection/queue-pool.ts';

/** Creates or updates the tables of BullMQ's PostgreSQL backend, in schema `bullmq`. Idempotent. */
export async function migrateQueueSchema(databaseUrl: string): Promise<void> {
  await migrateQueues(databaseUrl, async (client, schema) => await runMigrations(client, schema));
}
