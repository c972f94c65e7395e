import { type Kysely, sql } from 'kysely';

/**
 * Looks for the orphans of new tokenizations once for each statement, not for each row: the door
 * adds hundreds of rows at once. The trigger on a learned reference stays one for each row; its
 * condition costs less than the copies of all changed rows that a statement's trigger would need.
 *
 * Lock: SHARE ROW EXCLUSIVE on tokenization, for a change of the catalogue only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.reunite_orphans_of_new() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
    begin
      insert into token_lifecycle.outbox (queue, job_name, job_id, payload)
      select j.queue, j.job_name, j.kind || '-' || o.id || '-g' || o.version,
        jsonb_build_object('v', 1, 'callbackId', o.id)
      from appeared t
      cross join lateral (
        select c.id, c.channel, c.version, c.is_believed, c.received_at from token_lifecycle.callback c
        where c.state = 'orphaned' and c.account = t.account and c.terminal = t.terminal
          and c.merchant_reference_id = t.merchant_reference_id
        union all
        select c.id, c.channel, c.version, c.is_believed, c.received_at from token_lifecycle.callback c
        where c.state = 'orphaned' and c.account = t.account and c.terminal = t.terminal
          and c.merchant_reference_id is null and c.order_reference_id = t.order_reference_id
        order by is_believed desc nulls last, received_at limit 1000
      ) o
      join (values ('notify', 'notify', 'notify.handle', 'notify'),
        ('redirect', 'callback-verification', 'callback.verify', 'callback')) j (channel, queue, job_name, kind)
        on j.channel = o.channel;
      return null;
    end $$`.execute(db);
  await sql`
    drop trigger tokenization_appeared on token_lifecycle.tokenization`.execute(db);
  await sql`
    create trigger tokenization_appeared after insert on token_lifecycle.tokenization
    referencing new table as appeared
    for each statement execute function token_lifecycle.reunite_orphans_of_new()`.execute(db);
}
