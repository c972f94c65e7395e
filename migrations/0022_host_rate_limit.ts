import { type Kysely, sql } from 'kysely';

/**
 * The next free slot for a call to each host: the rate limit of OAuth calls, one for all workers.
 * It is unlogged, so that a permit waits for no disk; after a crash of the database the limit
 * starts again.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create unlogged table token_lifecycle.host_rate_limit (
      host text primary key,
      next_call_at timestamptz not null
    )`.execute(db);
}
