import { type Kysely, sql } from 'kysely';

/**
 * Keeps the whole envelope of a message, so that a later release can read what this one can't:
 * beside the body its content encoding, and the query string of a POST, sealed. `body_bytes` counts
 * body and query string as received; a row that holds less keeps an excerpt.
 *
 * `callback_unreadable` lets the worker count the unreadable messages that it keeps in full, those
 * about one tokenization and all others, since unverified senders can send any number of them.
 *
 * Lock: a short one on callback for the columns; building the index blocks writes to callback.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.callback
      add column content_encoding text,
      add column query_sealed text`.execute(db);
  await sql`
    create index callback_unreadable on token_lifecycle.callback (tokenization_id)
    where reason = 'unreadable' and body_bytes > 256`.execute(db);
}
