import { type Kysely, sql } from 'kysely';

/**
 * NOTIFY tells readers that cache a token of its change. The trigger fires only when the token
 * itself changes, and the message carries only the id of the row.
 *
 * Lock: none, access_token is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
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
