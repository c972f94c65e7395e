import { type Kysely, sql } from 'kysely';

/**
 * Jobs that could not be done, with their payload sealed, until an operator redrives them. A scan
 * leaves out each row whose job is here; `dead_letter_job` makes that look-up cheap.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.dead_letter (
      id uuid primary key,
      queue text not null,
      job_name text not null,
      job_id text not null,
      code text not null,
      paths jsonb not null,
      payload_sealed text,
      attempts integer not null,
      redrives integer not null,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null
    )`.execute(db);
  await sql`
    create index dead_letter_open on token_lifecycle.dead_letter (created_at)
    where state = 'dead'`.execute(db);
  await sql`
    create index dead_letter_job on token_lifecycle.dead_letter (job_id)
    where state = 'dead'`.execute(db);
}
