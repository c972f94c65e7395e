import { type Kysely, sql } from 'kysely';

/**
 * The HTTP API finds tokenizations by the merchant's reference at any terminal, and by state, newest first. Without these
 * indexes both would read the whole table.
 *
 * Lock: `create index` takes SHARE on tokenization, which blocks writes while the indexes are built. Migrations run in one
 * transaction, so CONCURRENTLY is not to be had. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index tokenization_merchant_reference
    on token_lifecycle.tokenization (merchant_reference_id)`.execute(db);
  await sql`
    create index tokenization_state
    on token_lifecycle.tokenization (state, created_at desc, id desc)`.execute(db);
}
