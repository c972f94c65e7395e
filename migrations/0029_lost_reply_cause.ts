import { type Kysely, sql } from 'kysely';

/**
 * Why the worker refused a creation's reply that it read, for example the host of the page. Such a
 * reply would be the same after another creation, so the request is not sent again.
 *
 * Lock: ACCESS EXCLUSIVE on tokenization, for a change of the catalogue only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table token_lifecycle.tokenization add column lost_reply_cause text`.execute(db);
}
