import { type Kysely, sql } from 'kysely';

/**
 * Finds messages and deliveries by state, newest first, for the lists of the command line. They
 * read whole tables: 250,000 pages of two million messages.
 *
 * In exchange two indexes of `callback` go, so that a message still writes as many entries. No
 * query ever searched by `callback_semantic_key`, and the new index finds what `callback_expired`
 * found.
 *
 * Lock: building the indexes blocks writes to callback and to delivery.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index callback_state on token_lifecycle.callback (state, received_at desc)`.execute(db);
  await sql`
    create index delivery_state on token_lifecycle.delivery (state, created_at desc)`.execute(db);
  await sql`drop index token_lifecycle.callback_semantic_key`.execute(db);
  await sql`drop index token_lifecycle.callback_expired`.execute(db);
}
