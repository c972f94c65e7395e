import { findReleasableDeliveries, findWebhookEndpoint } from '../db/deliveries.ts';
import type { JobContext } from '../execution/define-job.ts';
import { webhookEndpointId } from './endpoint.ts';
import { deliveryJob } from '../domain/outbox-job.ts';

/** The most deliveries that one scan releases. */
const rowsMax = 500;
/** How long a released delivery waits for its job before the scan enqueues it again. */
const jobGraceMs = 10_000;

/**
 * Releases held deliveries once the webhook address is enabled. Of each token it releases the
 * first; the next one follows when that one is settled. A released delivery starts its schedule
 * from the beginning. Returns how many were released.
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
          patch: { attempt: 0, reason: null, due_at_in_ms: jobGraceMs },
          jobs: [deliveryJob(row.id, row.version + 1)],
        }),
    ),
  );
  return outcomes.filter(({ isApplied }) => isApplied).length;
}
