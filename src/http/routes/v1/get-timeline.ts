import { z } from 'zod';
import { findTimeline } from '../../../db/audit.ts';
import type { AuditEventRow } from '../../../db/rows.ts';
import { timeline, type Timeline } from '../../../domain/api-shapes.ts';
import { apiRoute } from '../../api/api-route.ts';
import { limit, pageOf } from '../../api/paging.ts';
import { getTokenizationView } from '../../api/tokenization-view.ts';

const cursor = z
  .string()
  .regex(/^\d{1,18}$/)
  .optional()
  .describe('`nextCursor` of the page before');

/** `GET /v1/tokenizations/{id}/timeline`: every audit row, in order. */
export const getTimeline = apiRoute({
  operationId: 'getTimeline',
  method: 'GET',
  path: '/tokenizations/:id/timeline',
  scope: 'read',
  tag: 'tokenizations',
  summary: 'Every change of a tokenization, and of the messages about it',
  params: z.strictObject({ id: z.uuid() }),
  query: z.strictObject({ cursor, limit }),
  status: 200,
  answer: timeline,
  problems: ['tokenization_not_found'],
  async handle({ params, query }, dependencies) {
    await getTokenizationView(dependencies, params.id);
    const found = await findTimeline(dependencies.db, params.id, {
      afterId: query.cursor,
      rowsMax: query.limit + 1,
    });
    const { rows, nextCursor } = pageOf(found, query.limit);
    return { events: rows.map(eventOf), nextCursor };
  },
});

function eventOf(row: AuditEventRow): Timeline['events'][number] {
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
