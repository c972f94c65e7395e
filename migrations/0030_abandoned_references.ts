import { type Kysely, sql } from 'kysely';

/**
 * Finds a tokenization by a reference that an earlier attempt was sent under. Few rows have one, so
 * the index stays small.
 *
 * Lock: building the index blocks writes to tokenization.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index tokenization_abandoned_references on token_lifecycle.tokenization
    using gin (abandoned_references) where abandoned_references <> '[]'::jsonb`.execute(db);
}
