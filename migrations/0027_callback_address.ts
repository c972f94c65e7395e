import { type Kysely, sql } from 'kysely';

/**
 * Each request gets per-request callback URLs, whose last segment can't be guessed. The
 * tokenization keeps the digests; `callback.is_addressed` says that a message came to such a URL,
 * so that `tokenization_id` is known whatever the message says.
 *
 * Lock: ACCESS EXCLUSIVE on tokenization and callback for the columns, held while the two indexes
 * on tokenization are built; no row is in them yet.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.tokenization
      add column redirect_address text,
      add column notify_address text`.execute(db);
  await sql`
    create unique index tokenization_redirect_address on token_lifecycle.tokenization (redirect_address)
    where redirect_address is not null`.execute(db);
  await sql`
    create unique index tokenization_notify_address on token_lifecycle.tokenization (notify_address)
    where notify_address is not null`.execute(db);
  await sql`
    alter table token_lifecycle.callback
      add column is_addressed boolean not null default false`.execute(db);
}
