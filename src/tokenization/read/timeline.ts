import { findTimeline } from '../../db/audit.ts';
import type { AuditEventRow } from '../../db/rows.ts';
import { getTokenization } from '../../db/tokenizations.ts';
import type { Timeline } from '../../domain/payload/api-shapes.ts';
import { pageOf, type PageRequest } from '../../domain/paging.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';

/**
 * Reads a page of the audit rows of a tokenization and of the messages about it, oldest first.
 * Throws `tokenization_not_found`.
 */
export async function readTimeline(
  { db }: Pick<BackendDependencies, 'db'>,
  tokenizationId: string,
  { cursor: afterId, limit: size }: PageRequest,
): Promise<Timeline> {
  await getTokenization(db, tokenizationId);
  const found = await findTimeline(db, tokenizationId, {
    afterId,
    rowsMax: size + 1,
  });
  const { rows, nextCursor } = pageOf(found, size);
  return { events: rows.map(timelineEventOf), nextCursor };
}

function timelineEventOf(row: AuditEventRow): Timeline['events'][number] {
  return {
    id: row.id,
    occurredAt: row.occurred_at.toISOString(),
    entityType: row.entity_type,
    entityId: row.entity_id,
    version: row.version,
    event: row.event,
    from: row.from_state,
    to: row.to_state,
    actor: { type: row.actor_type, id: row.actor_id },
    queue: row.queue,
    jobId: row.job_id,
    attempt: row.attempt,
    channel: row.channel,
    reason: row.reason,
    gatewayCode: row.gateway_code,
    traceId: row.trace_id,
    detail: row.detail,
  };
}
