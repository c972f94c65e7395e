import { findReleasableDeliveries, findWebhookEndpoint } from '../db/deliveries.ts';
import type { JobContext } from '../execution/define-job.ts';
import { webhookEndpointId } from './endpoint.ts';
import { deliveryJob } from '../domain/outbox-job.ts';

/** Deliveries that one scan releases. */
const rowsMax = 500;
/** How long the scan leaves a released delivery to its job. */
const firstReconcileMs = 10_000;

/**
 * Lets held deliveries go once there is an address that is enabled, the first of each token; the next one follows when that is settled.
 * Each begins its schedule anew. Returns how many were released.
 */
export async function releaseDeliveries({
  db,
  webhooks,
  apply,
}: JobContext<'delivery.released'>): Promise<number> {
  if (webhooks === undefined) return 0;
  const endpoint = await findWebhookEndpoint(db, webhookEndpointId(webhooks.url));
  if (endpoint?.state !== 'enabled') return 0;
  const held = await findReleasableDeliveries(db, rowsMax);
  const outcomes = await Promise.all(
    held.map(
      async (row) =>
        await apply({
          entity: 'delivery',
          row,
          event: 'delivery.released',
          patch: { attempt: 0, reason: null, due_at_in_ms: firstReconcileMs },
          jobs: [deliveryJob(row.id, row.version + 1)],
        }),
    ),
  );
  return outcomes.filter(({ isApplied }) => isApplied).length;
}
