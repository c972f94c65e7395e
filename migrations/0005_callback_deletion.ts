import { type Kysely, sql } from 'kysely';

/**
 * Lets the worker delete callbacks for retention, of two kinds only, which a trigger enforces. One
 * is in state `expired`. The other was refused on receipt and has no second version; its one audit
 * row says so. A judged message can't disappear without the audited step to `expired`.
 *
 * Lock: none, callback is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.refuse_callback_delete() returns trigger language plpgsql as $$
    begin
      if old.state <> 'expired' and not (old.state = 'rejected' and old.version = 1) then
        raise exception 'only expired and refused callbacks may be deleted' using errcode = 'insufficient_privilege';
      end if;
      return old;
    end $$`.execute(db);
  await sql`
    create trigger callback_delete_expired_only before delete on token_lifecycle.callback
    for each row execute function token_lifecycle.refuse_callback_delete()`.execute(db);
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        grant delete on token_lifecycle.callback to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
