import { type Kysely, sql } from 'kysely';

/**
 * Which notice of a token's end was told last, in days before it: so none is told twice or left out, whatever else made the
 * worker look at the token.
 *
 * Lock: `alter table` takes ACCESS EXCLUSIVE on tokenization for an instant; a column without a default rewrites nothing.
 * Safe while old code runs: yes, which tells as before.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.tokenization
    add column expiry_notice_days smallint`.execute(db);
}
