import { randomUUID } from 'node:crypto';
import { findDelivery } from '../db/deliveries.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { deliveryJob } from '../domain/outbox-job.ts';

/** How long a new delivery waits for its job before the scan enqueues it again. */
const jobGraceMs = 10_000;

/**
 * Delivers an event again, as a new delivery. The event id stays the same, so that the receiver can
 * drop a duplicate; the original delivery is unchanged. Throws `delivery_not_found`.
 */
export async function replayDelivery(
  { db, door }: Pick<OperationDependencies, 'db' | 'door'>,
  id: string,
  audit: AuditContext,
): Promise<{ readonly id: string }> {
  const original = await findDelivery(db, id);
  if (original === undefined) {
    throw new AppError('delivery_not_found', 'No delivery has this id.');
  }
  const replayId = randomUUID();
  const { event_id, tokenization_id, event_type, sequence, status } = original;
  await door.apply({
    entity: 'delivery',
    row: { id: replayId, version: 0, state: null },
    event: 'delivery.created',
    patch: {
      event_id,
      tokenization_id,
      event_type,
      sequence,
      status,
      event_at: (original.event_at ?? original.created_at).toISOString(),
      due_at_in_ms: jobGraceMs,
    },
    audit: { ...audit, detail: { eventType: event_type, replayOf: id } },
    jobs: [deliveryJob(replayId, 1)],
  });
  return { id: replayId };
}
