import { sql } from 'kysely';
import type { Actor } from '../domain/audit-entry.ts';
import type { Db } from './connection/database.ts';

/** Reads of one generation of an access token by one backend. */
export interface ReadAuditEntry {
  /** The row in `access_token`. */
  readonly accessTokenId: string;
  readonly credential: string;
  readonly generation: number;
  readonly actor: Actor;
  readonly reads: number;
  /** How long ago the first and the last of them was, in milliseconds. */
  readonly firstAgoMs: number;
  readonly lastAgoMs: number;
}

/** Appends reads to the read audit, as one statement. */
export async function insertAccessTokenReads(
  db: Db,
  reads: readonly ReadAuditEntry[],
): Promise<void> {
  const rows = reads.map(({ actor, ...read }) => ({
    access_token_id: read.accessTokenId,
    credential: read.credential,
    generation: read.generation,
    actor_type: actor.type,
    actor_id: actor.id,
    reads: read.reads,
    first_ago_ms: read.firstAgoMs,
    last_ago_ms: read.lastAgoMs,
  }));
  await sql`
    insert into access_token_read (access_token_id, credential, generation, actor_type, actor_id, reads,
      first_read_at, last_read_at)
    select access_token_id, credential, generation, actor_type, actor_id, reads,
      statement_timestamp() - first_ago_ms * interval '1 millisecond',
      statement_timestamp() - last_ago_ms * interval '1 millisecond'
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r(access_token_id uuid, credential text,
      generation integer, actor_type text, actor_id text, reads integer, first_ago_ms double precision,
      last_ago_ms double precision)`.execute(db);
}
