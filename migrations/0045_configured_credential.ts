import { type Kysely, sql } from 'kysely';

/**
 * What the environment said when a credential was last stored from there, as keyed digests by field. A start takes over what has changed
 * in the environment since, and leaves alone what an operator has changed meanwhile.
 *
 * Lock: `add column` without a default takes ACCESS EXCLUSIVE for an instant; the table is small. Safe while old code runs: yes, it
 * leaves the column as it is.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.credential
    add column configured_index jsonb`.execute(db);
}
