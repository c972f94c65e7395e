import { type Kysely, sql } from 'kysely';

/**
 * What strangers sent about an account of ours, and nothing bears out, is removed too: whatever was rejected, given up or changed nothing, and
 * no signature proves.
 *
 * A message that was refused at the door, its first and only version, is deleted as it is: that it was refused is audited, that it
 * was cleared away says nothing more. Judged messages still have to be `expired` first. The indexes hold what may be removed and nothing else.
 *
 * Lock: SHARE on callback while the indexes are built. Safe while old code runs: yes; it expires refused
 * messages in two steps, as before.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`drop index token_lifecycle.callback_refused`.execute(db);
  await sql`
    create index callback_refused on token_lifecycle.callback (received_at)
    where state = 'rejected' and version = 1`.execute(db);
  await sql`
    create index callback_unbelieved on token_lifecycle.callback (updated_at)
    where state in ('rejected', 'abandoned', 'accepted') and version > 1
        and not coalesce(is_believed, state = 'accepted')`.execute(db);
  await sql`
    create index callback_expired on token_lifecycle.callback (id) where state = 'expired'`.execute(
    db,
  );
  await sql`
    create or replace function token_lifecycle.refuse_callback_delete() returns trigger language plpgsql as $$
    begin
      if old.state <> 'expired' and not (old.state = 'rejected' and old.version = 1) then
        raise exception 'only expired and refused callbacks may be deleted' using errcode = 'insufficient_privilege';
      end if;
      return old;
    end $$`.execute(db);
}
