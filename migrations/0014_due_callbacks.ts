import { type Kysely, sql } from 'kysely';

/**
 * Looking for due callbacks and for orphans costs the same however many orphans there are.
 *
 * Due callbacks are found state by state, so a backlog of orphans that are given up can't hide a lost verdict behind its limit. Orphans are
 * no longer looked for: whatever makes one matchable, a new tokenization or a reference of the gateway that was learned, puts
 * its job into the outbox, in the same transaction. An orphan that is being parked meanwhile is not seen here; its own job looks once
 * more a few seconds later.
 *
 * Of many orphans with one reference a thousand are taken up, proven ones first, then the oldest; strangers can park any number of
 * them, and the others are judged when their time is over.
 *
 * `is_believed` says whether a message's signature proved its sender, or the message changed anything. Null: not judged so far.
 *
 * Lock: `create index` takes SHARE on callback, which blocks writes while the index is built; `create trigger` takes SHARE ROW
 * EXCLUSIVE on tokenization for an instant. Safe while old code runs: yes; its own scan only gets slower.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table token_lifecycle.callback add column is_believed boolean`.execute(db);
  await sql`drop index token_lifecycle.callback_due`.execute(db);
  await sql`
    create index callback_due on token_lifecycle.callback (state, due_at)
    where due_at is not null`.execute(db);
  await sql`
    create function token_lifecycle.reunite_orphans() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
    begin
      insert into token_lifecycle.outbox (queue, job_name, job_id, payload)
      select j.queue, j.job_name, j.kind || '-' || o.id || '-g' || o.version,
        jsonb_build_object('v', 1, 'callbackId', o.id)
      from (
        select c.id, c.channel, c.version, c.is_believed, c.received_at from token_lifecycle.callback c
        where c.state = 'orphaned' and c.account = new.account and c.terminal = new.terminal
          and c.merchant_reference_id = new.merchant_reference_id
        union all
        select c.id, c.channel, c.version, c.is_believed, c.received_at from token_lifecycle.callback c
        where c.state = 'orphaned' and c.account = new.account and c.terminal = new.terminal
          and c.merchant_reference_id is null and c.order_reference_id = new.order_reference_id
        order by is_believed desc nulls last, received_at limit 1000
      ) o
      join (values ('notify', 'notify', 'notify.handle', 'notify'),
        ('redirect', 'callback-verification', 'callback.verify', 'callback')) j (channel, queue, job_name, kind)
        on j.channel = o.channel;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger tokenization_appeared after insert on token_lifecycle.tokenization
    for each row execute function token_lifecycle.reunite_orphans()`.execute(db);
  await sql`
    create trigger tokenization_reference_learned after update on token_lifecycle.tokenization
    for each row when (new.order_reference_id is distinct from old.order_reference_id)
    execute function token_lifecycle.reunite_orphans()`.execute(db);
}
