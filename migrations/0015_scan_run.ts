import { type Kysely, sql } from 'kysely';

/**
 * When each scan last finished. This is no state of an entity, so it is written without an audit
 * row.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.scan_run (
      name text primary key,
      finished_at timestamptz not null
    )`.execute(db);
}
