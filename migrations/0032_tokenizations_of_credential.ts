import { type Kysely, sql } from 'kysely';

/**
 * Finds the tokenizations of a credential by state. A change of a credential's account looks for
 * active and reconcilable ones under a lock that new tokenizations wait for; where there were none,
 * it read those of all other credentials.
 *
 * In exchange the unique index begins with the merchant's reference, so that it also finds a
 * reference at any terminal and `tokenization_merchant_reference` goes. A tokenization still writes
 * as many index entries.
 *
 * Lock: building the indexes blocks writes to tokenization; the constraint is exchanged under
 * ACCESS EXCLUSIVE, for a change of the catalogue only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index tokenization_credential
    on token_lifecycle.tokenization (credential_id, state)`.execute(db);
  await sql`
    create unique index tokenization_reference
    on token_lifecycle.tokenization (merchant_reference_id, terminal, account)`.execute(db);
  await sql`
    alter table token_lifecycle.tokenization
      drop constraint tokenization_account_terminal_merchant_reference_id_key,
      add constraint tokenization_reference unique using index tokenization_reference`.execute(db);
  await sql`drop index token_lifecycle.tokenization_merchant_reference`.execute(db);
}
