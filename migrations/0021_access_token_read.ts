import { type Kysely, sql } from 'kysely';

/**
 * The access token read audit: which backend read which generation of a token, how often and when.
 * A read is no state change, so it has no version. Each process adds up its reads and inserts them
 * in batches, so one backend has many rows.
 *
 * Grants and triggers keep it append-only, as they do `audit_event`. There is no foreign key: an
 * insert would lock the token's row, and a renewal must never wait for a read.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.access_token_read (
      id bigint generated always as identity primary key,
      access_token_id uuid not null,
      credential text not null,
      generation integer not null,
      actor_type text not null,
      actor_id text not null,
      reads integer not null check (reads > 0),
      first_read_at timestamptz not null,
      last_read_at timestamptz not null
    )`.execute(db);
  await sql`
    create index access_token_read_by_token
    on token_lifecycle.access_token_read (access_token_id, last_read_at)`.execute(db);
  await sql`
    create function token_lifecycle.refuse_access_token_read_change() returns trigger language plpgsql as $$
    begin
      raise exception 'access_token_read is append-only' using errcode = 'insufficient_privilege';
    end $$`.execute(db);
  await sql`
    create trigger access_token_read_append_only
    before update or delete on token_lifecycle.access_token_read
    for each row execute function token_lifecycle.refuse_access_token_read_change()`.execute(db);
  await sql`
    create trigger access_token_read_no_truncate
    before truncate on token_lifecycle.access_token_read
    for each statement execute function token_lifecycle.refuse_access_token_read_change()`.execute(
    db,
  );
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        revoke all on token_lifecycle.access_token_read from token_lifecycle_app;
        grant select, insert on token_lifecycle.access_token_read to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
