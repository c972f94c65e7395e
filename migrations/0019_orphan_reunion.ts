import { type Kysely, sql } from 'kysely';

/**
 * A trigger enqueues the job of each orphan that a tokenization makes matchable: a new row, or a
 * reference that the gateway assigned. The job enters the outbox in the same transaction, so no
 * scan has to search the orphans. An orphan that is being stored at that moment is not seen here;
 * its own job looks a second time a few seconds later.
 *
 * At most a thousand orphans of one reference are taken up, proven ones first, then the oldest:
 * unverified senders can store any number of them. The rest are judged when their time is over.
 *
 * Lock: none, tokenization is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
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
