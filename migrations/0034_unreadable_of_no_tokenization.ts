import { type Kysely, sql } from 'kysely';

/**
 * Lets the worker count the unreadable messages that name no tokenization, of which it stores a
 * limited number in full, without reading those that it stored as excerpts.
 *
 * Lock: SHARE on callback while the index is built.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index callback_unreadable_of_none on token_lifecycle.callback (received_at)
    where reason = 'unreadable' and body_bytes > 256 and tokenization_id is null
      and state = 'rejected' and version = 1`.execute(db);
}
