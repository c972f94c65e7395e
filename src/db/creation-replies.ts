import { sql } from 'kysely';
import { tokenizationStates } from '../domain/tokenization.ts';
import type { Db } from './connection/database.ts';

/** The audit row of a reply to a creation that the worker could read. */
export interface CreationReplyRow {
  readonly entity_id: string;
  readonly reason: string | null;
  readonly gateway_code: string | null;
  readonly refusal_scope: string | null;
}

/**
 * The replies to the newest creations, oldest first. Each state is read by its own part of the
 * index on state and time, and the audit rows by their entity.
 */
export async function listCreationReplies(
  db: Db,
  tokenizationsMax: number,
): Promise<readonly CreationReplyRow[]> {
  const { rows } = await sql<CreationReplyRow>`
    with newest as (
      select t.id from unnest(${[...tokenizationStates]}::text[]) wanted (state)
      cross join lateral (
        select id, created_at from tokenization of_state where of_state.state = wanted.state
        order by created_at desc, id desc limit ${tokenizationsMax}
      ) t
      order by t.created_at desc limit ${tokenizationsMax}
    )
    select a.entity_id, a.reason, a.gateway_code, a.detail ->> 'refusalScope' as refusal_scope
    from newest join audit_event a on a.entity_type = 'tokenization' and a.entity_id = newest.id
    where a.channel = 'create_reply' and a.event <> 'tokenization.outcome_unknown'
    order by a.occurred_at, a.id`.execute(db);
  return rows;
}
