import { type Kysely, sql } from 'kysely';

/**
 * What strangers sent is kept for a while and then removed, so the worker may delete callbacks. A trigger allows it for rows
 * in state `expired` only, which no other callback can reach: whoever holds the application role can't make a judged
 * message disappear.
 *
 * Lock: `create index` and `create trigger` take SHARE ROW EXCLUSIVE on callback, which blocks writes while the index is built.
 * Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index callback_refused on token_lifecycle.callback (received_at)
    where state = 'rejected' and reason in ('unreadable', 'unknown_account')`.execute(db);
  await sql`
    create index callback_orphaned_order_reference on token_lifecycle.callback (order_reference_id)
    where state = 'orphaned'`.execute(db);
  await sql`
    create function token_lifecycle.refuse_callback_delete() returns trigger language plpgsql as $$
    begin
      if old.state <> 'expired' then
        raise exception 'only expired callbacks may be deleted' using errcode = 'insufficient_privilege';
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
