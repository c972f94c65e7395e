import { type Kysely, sql } from 'kysely';

/**
 * When the event of a replayed delivery happened. A first delivery is created with its event, so
 * its own `created_at` says it.
 *
 * Lock: ACCESS EXCLUSIVE on delivery, for a change of the catalogue only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table token_lifecycle.delivery add column event_at timestamptz`.execute(db);
}
