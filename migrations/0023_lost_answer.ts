import { type Kysely, sql } from 'kysely';

/**
 * One answer that a lost request is sent again after, `none` or `pending`, and when the gateway
 * first gave it. They replace the count of `none` answers; `none_count` and `none_at` stay, because
 * processes of the previous release write them, and go one release later.
 *
 * Lock: ACCESS EXCLUSIVE on tokenization, for a change of the catalogue only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.tokenization
      add column lost_answer text,
      add column lost_answer_at timestamptz,
      alter column none_count set default 0`.execute(db);
}
