import { type Kysely, sql } from 'kysely';

/**
 * The outbox, jobs that follow from a committed change, and dead letters, work that could not be done.
 *
 * A relayed row is deleted, so the table stays small and its primary key is index enough: each further one would be paid for by every
 * transition. Autovacuum is told to come early because every row dies young.
 *
 * Lock: none, the tables are new. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.outbox (
      id bigint generated always as identity primary key,
      queue text not null,
      job_name text not null,
      job_id text not null,
      payload jsonb not null,
      not_before timestamptz not null default clock_timestamp(),
      lease_until timestamptz,
      lease_owner text,
      tries integer not null default 0,
      created_at timestamptz not null default clock_timestamp()
    ) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)`.execute(db);
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
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        grant delete on token_lifecycle.outbox to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
