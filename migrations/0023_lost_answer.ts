import { type Kysely, sql } from 'kysely';

/**
 * One answer that a lost request is sent again after, `none` or `pending`, and when the gateway
 * first gave it. It replaces the count of `none` answers, which was 0 or 1.
 *
 * Lock: ACCESS EXCLUSIVE on tokenization, for a change of the catalogue only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table token_lifecycle.tokenization add column lost_answer text`.execute(db);
  await sql`alter table token_lifecycle.tokenization rename column none_at to lost_answer_at`.execute(
    db,
  );
  await sql`alter table token_lifecycle.tokenization drop column none_count`.execute(db);
}
