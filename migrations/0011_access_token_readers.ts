import { type Kysely, sql } from 'kysely';

/**
 * What reading and watching access tokens needs.
 *
 * `app_key_index` makes one access token per application and environment a rule of the database: two credentials with one
 * app key would renew each other's tokens away. Beside a token it says which application the token is of, so that one of a former
 * application is never handed out. `alarm_percent` is the last alarm that was raised for the present
 * generation. `scan_run` says when each scan last looked, which is no state of anything: it is written without an audit row.
 *
 * Whoever holds a token in memory hears of a new one by NOTIFY. The trigger fires when the token itself changes, a few times a second at
 * most, and carries the row's id only.
 *
 * Lock: `add column` without a default takes ACCESS EXCLUSIVE for an instant; the tables are small. Safe while old code runs: yes, it
 * leaves the new columns null.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table token_lifecycle.credential add column app_key_index text`.execute(db);
  await sql`
    create unique index credential_app_key on token_lifecycle.credential (environment, app_key_index)
    where family = 'opcard' and state = 'active'`.execute(db);
  await sql`
    alter table token_lifecycle.access_token
    add column app_key_index text, add column alarm_percent integer`.execute(db);
  await sql`
    create index access_token_failing on token_lifecycle.access_token (expires_at)
    where failures > 0`.execute(db);
  await sql`
    create table token_lifecycle.scan_run (
      name text primary key,
      finished_at timestamptz not null
    )`.execute(db);
  await sql`
    create function token_lifecycle.announce_access_token() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
    begin
      perform pg_notify('token_lifecycle_access_token', new.id::text);
      return null;
    end $$`.execute(db);
  await sql`
    create trigger access_token_changed after update on token_lifecycle.access_token
    for each row when (old.access_token_sealed is distinct from new.access_token_sealed)
    execute function token_lifecycle.announce_access_token()`.execute(db);
}
