import { type Kysely, sql } from 'kysely';

/**
 * `timeline`, a view for people: every change of a tokenization and of the callbacks about it.
 *
 * Lock: none.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create view token_lifecycle.timeline as
    select t.merchant_reference_id, t.id as tokenization_id, a.id, a.occurred_at, a.entity_type, a.entity_id,
      a.version, a.event, a.from_state, a.to_state, a.actor_type, a.actor_id, a.queue, a.job_id,
      a.attempt, a.channel, a.reason, a.gateway_code, a.detail
    from token_lifecycle.tokenization t
    join token_lifecycle.audit_event a on a.entity_type = 'tokenization' and a.entity_id = t.id
    union all
    select c.merchant_reference_id, c.tokenization_id, a.id, a.occurred_at, a.entity_type, a.entity_id,
      a.version, a.event, a.from_state, a.to_state, a.actor_type, a.actor_id, a.queue, a.job_id,
      a.attempt, a.channel, a.reason, a.gateway_code, a.detail
    from token_lifecycle.callback c
    join token_lifecycle.audit_event a on a.entity_type = 'callback' and a.entity_id = c.id`.execute(
    db,
  );
}
