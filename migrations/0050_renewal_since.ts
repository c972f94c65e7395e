import { type Kysely, sql } from 'kysely';

/**
 * Since when an access token is being renewed, from its first intent to its next token. `due_at` moves with every lease and
 * back-off, and `failures` counts only attempts that came to an end, so neither tells that owner after owner died over its call.
 *
 * Lock: `add column` without a default takes ACCESS EXCLUSIVE for an instant, the index SHARE on a small table. Safe while old code runs:
 * yes, it leaves the column null, or as it was beside a fresh token, where it means nothing.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.access_token add column renewing_since timestamptz`.execute(db);
  await sql`
    create index access_token_renewing on token_lifecycle.access_token (renewing_since)
    where renewing_since is not null`.execute(db);
}
