import { type Kysely, sql } from 'kysely';

/**
 * `timeline` shows a callback under the merchant's reference of its tokenization. A callback about
 * a request that was sent again names the reference of that attempt, which no operator knows.
 * A callback without a tokenization is shown under the reference that it names.
 *
 * Lock: SHARE on callback while its two indexes are built, so it blocks writes to the inbox.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index callback_tokenization on token_lifecycle.callback (tokenization_id)
    where tokenization_id is not null`.execute(db);
  await sql`
    create index callback_unmatched on token_lifecycle.callback (merchant_reference_id)
    where tokenization_id is null`.execute(db);
  await sql`
    create or replace view token_lifecycle.timeline as
    select t.merchant_reference_id, t.id as tokenization_id, a.id, a.occurred_at, a.entity_type, a.entity_id,
      a.version, a.event, a.from_state, a.to_state, a.actor_type, a.actor_id, a.queue, a.job_id,
      a.attempt, a.channel, a.reason, a.gateway_code, a.detail
    from token_lifecycle.tokenization t
    join token_lifecycle.audit_event a on a.entity_type = 'tokenization' and a.entity_id = t.id
    union all
    select t.merchant_reference_id, c.tokenization_id, a.id, a.occurred_at, a.entity_type, a.entity_id,
      a.version, a.event, a.from_state, a.to_state, a.actor_type, a.actor_id, a.queue, a.job_id,
      a.attempt, a.channel, a.reason, a.gateway_code, a.detail
    from token_lifecycle.tokenization t
    join token_lifecycle.callback c on c.tokenization_id = t.id
    join token_lifecycle.audit_event a on a.entity_type = 'callback' and a.entity_id = c.id
    union all
    select c.merchant_reference_id, c.tokenization_id, a.id, a.occurred_at, a.entity_type, a.entity_id,
      a.version, a.event, a.from_state, a.to_state, a.actor_type, a.actor_id, a.queue, a.job_id,
      a.attempt, a.channel, a.reason, a.gateway_code, a.detail
    from token_lifecycle.callback c
    join token_lifecycle.audit_event a on a.entity_type = 'callback' and a.entity_id = c.id
    where c.tokenization_id is null`.execute(db);
}
