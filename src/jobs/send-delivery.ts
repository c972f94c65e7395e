import { z } from 'zod';
import { findAuditDetail } from '../db/audit.ts';
import { databaseNow } from '../db/connection/database.ts';
import {
  findDelivery,
  findWebhookEndpoint,
  hasEarlierUnsettledDelivery,
} from '../db/deliveries.ts';
import type { DeliveryRow, WebhookEndpointRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { nextAttemptMs } from '../domain/delivery.ts';
import { expiryNoticeFor } from '../domain/expiry-watch.ts';
import { deliveryIdPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import type { WebhookResult } from '../webhooks/sender.ts';
import { defineJob, done, type JobContext, type Outcome, snooze } from '../execution/define-job.ts';
import { webhookEndpointId } from '../delivery/endpoint.ts';
import { deliveryJob } from '../domain/outbox-job.ts';

const deliveryEvents = [
  'delivery.attempted',
  'delivery.delivered',
  'delivery.failed',
  'delivery.held',
  'webhook_endpoint.failing',
  'webhook_endpoint.recovered',
  'webhook_endpoint.disabled',
] as const;

type DeliveryContext = JobContext<(typeof deliveryEvents)[number]>;

const expiryDetail = z.object({ daysLeft: z.number(), expiresAt: z.string() });

/** The wait while the circuit breaker of the address is open. */
const breakerDelayMs = 30_000;

/**
 * `delivery.send` makes one attempt to send one event to the merchant's backend. Before it ends, it
 * commits the result: delivered, another attempt later, held until an address is enabled, or
 * failed. The receiver may get an event twice and can tell by its id.
 */
export const sendDelivery = defineJob({
  name: 'delivery.send',
  queue: 'delivery',
  payload: deliveryIdPayload,
  retry: exponential({ attemptsMax: 8, baseMs: 1_000, capMs: 60_000 }),
  timeoutMs: 28_000,
  emits: deliveryEvents,
  async run({ deliveryId }, context) {
    const delivery = await findDelivery(context.db, deliveryId);
    if (delivery?.state !== 'pending' && delivery?.state !== 'held') return done('already_settled');
    const now = await databaseNow(context.db);
    const isEarly = delivery.due_at !== null && delivery.due_at > now;
    if (isEarly && (delivery.attempt > 0 || delivery.state === 'held')) return done('not_due');
    if (delivery.state === 'held')
      return await failDelivery(delivery, 'held_too_long', undefined, context);
    const { webhooks } = context;
    if (webhooks === undefined)
      return await holdDelivery(delivery, 'no_endpoint', { ...context, now });
    const endpoint = await findWebhookEndpoint(context.db, webhookEndpointId(webhooks.url));
    if (endpoint?.state === 'disabled') {
      return await holdDelivery(delivery, 'endpoint_disabled', { ...context, now });
    }
    if (await hasEarlierUnsettledDelivery(context.db, delivery)) {
      return await holdDelivery(delivery, 'blocked_by_earlier', { ...context, now });
    }
    const result = await webhooks.send({
      id: delivery.event_id,
      body: await webhookBodyOf(delivery, context),
      signal: context.signal,
    });
    if (result.kind === 'breaker_open') return snooze(breakerDelayMs, 'breaker_open');
    // A stopping worker or a lost lock says nothing about the receiver.
    if (result.kind === 'unreachable' && context.signal.aborted)
      return snooze(1_000, 'interrupted');
    return await recordAttempt(delivery, endpoint, result, { ...context, now });
  },
});

/** The event holds only what a log may hold too; the receiver asks the API for more. */
async function webhookBodyOf(delivery: DeliveryRow, { db }: DeliveryContext): Promise<string> {
  const tokenization = await findTokenization(db, delivery.tokenization_id);
  return JSON.stringify({
    type: delivery.event_type,
    timestamp: (delivery.event_at ?? delivery.created_at).toISOString(),
    data: {
      tokenizationId: delivery.tokenization_id,
      merchantReferenceId: tokenization?.merchant_reference_id,
      sequence: delivery.sequence,
      state: delivery.status,
      ...(delivery.event_type === 'token.expiring' ? await expiryFieldsOf(delivery, db) : {}),
    },
  });
}

/** The notice's step and the token's expiry, as they were when the event happened. */
async function expiryFieldsOf(
  { tokenization_id, sequence }: DeliveryRow,
  db: DeliveryContext['db'],
): Promise<{ readonly noticeDays: number; readonly expiresAt: string }> {
  const detail = await findAuditDetail(db, 'tokenization', tokenization_id, sequence);
  const { daysLeft, expiresAt } = expiryDetail.parse(detail);
  return { noticeDays: expiryNoticeFor(daysLeft), expiresAt };
}

async function recordAttempt(
  delivery: DeliveryRow,
  endpoint: WebhookEndpointRow | undefined,
  result: Exclude<WebhookResult, { kind: 'breaker_open' }>,
  context: DeliveryContext & { readonly now: Date },
): Promise<Outcome> {
  if (result.kind === 'delivered') {
    // The endpoint comes first. A crash in between then only sends the event again, while a success
    // that was not recorded could disable the address.
    await recordEndpointSuccess(endpoint, context);
    await context.apply({
      entity: 'delivery',
      row: delivery,
      event: 'delivery.delivered',
      patch: {
        attempt: delivery.attempt + 1,
        response_status: result.status,
        reason: null,
        due_at: null,
      },
      audit: { detail: { attempt: delivery.attempt + 1, responseStatus: result.status } },
    });
    return done('delivered');
  }
  if (result.kind === 'rejected' && result.status === 410) {
    await disableWebhookEndpoint(endpoint, 'gone', context);
    return await holdDelivery(delivery, 'gone', context);
  }
  const isDisabled = await recordEndpointFailure(endpoint, context);
  return isDisabled
    ? await holdDelivery(delivery, 'endpoint_disabled', context)
    : await scheduleNextAttempt(delivery, result, context);
}

async function scheduleNextAttempt(
  delivery: DeliveryRow,
  result: Extract<WebhookResult, { kind: 'rejected' | 'unreachable' }>,
  context: DeliveryContext,
): Promise<Outcome> {
  const status = result.kind === 'rejected' ? result.status : undefined;
  const reason = result.kind === 'rejected' ? 'rejected' : result.cause;
  const attempt = delivery.attempt + 1;
  const waitMs = nextAttemptMs(
    context.settings.webhookScheduleMs,
    attempt,
    {
      isOverloaded: status === 429 || reason === 'timeout',
      retryAfterMs: result.kind === 'rejected' ? result.retryAfterMs : undefined,
    },
    context.random(),
  );
  if (waitMs === undefined) return await failDelivery(delivery, 'schedule_over', status, context);
  await context.apply({
    entity: 'delivery',
    row: delivery,
    event: 'delivery.attempted',
    patch: { attempt, response_status: status ?? null, reason, due_at_in_ms: waitMs },
    audit: { reason, detail: { attempt, responseStatus: status ?? null } },
    jobs: [{ ...deliveryJob(delivery.id, delivery.version + 1), delayMs: waitMs }],
  });
  return done('rescheduled');
}

/**
 * Holds an event that cannot be sent now. Once the address is enabled, the scan releases the events
 * of each token in order. An event that was held for too long fails.
 */
async function holdDelivery(
  delivery: DeliveryRow,
  reason: 'no_endpoint' | 'endpoint_disabled' | 'gone' | 'blocked_by_earlier',
  { apply, now, settings }: DeliveryContext & { readonly now: Date },
): Promise<Outcome> {
  const heldMs = now.getTime() - (delivery.held_at ?? now).getTime();
  await apply({
    entity: 'delivery',
    row: delivery,
    event: 'delivery.held',
    patch: {
      reason,
      due_at_in_ms: Math.max(0, settings.webhookHoldMaxAgeMs - heldMs),
      ...(delivery.held_at === null ? { held_at_in_ms: 0 } : {}),
    },
    audit: { reason, detail: { attempt: delivery.attempt } },
  });
  return done(`held_${reason}`);
}

async function failDelivery(
  delivery: DeliveryRow,
  reason: 'held_too_long' | 'schedule_over',
  status: number | undefined,
  context: DeliveryContext,
): Promise<Outcome> {
  await context.apply({
    entity: 'delivery',
    row: delivery,
    event: 'delivery.failed',
    patch: { response_status: status ?? null, reason, due_at: null },
    audit: { reason, detail: { attempt: delivery.attempt, responseStatus: status ?? null } },
  });
  return done(`failed_${reason}`);
}

async function recordEndpointSuccess(
  endpoint: WebhookEndpointRow | undefined,
  context: DeliveryContext,
): Promise<void> {
  if (endpoint?.state !== 'enabled' || endpoint.failing_since === null) return;
  await context.apply({
    entity: 'webhook_endpoint',
    row: endpoint,
    event: 'webhook_endpoint.recovered',
    patch: { failing_since: null },
  });
}

/**
 * Counts a failed attempt against the address. One that has failed for too long without a success
 * is disabled. Returns whether it is disabled now.
 */
async function recordEndpointFailure(
  endpoint: WebhookEndpointRow | undefined,
  context: DeliveryContext & { readonly now: Date },
): Promise<boolean> {
  if (endpoint?.state !== 'enabled') return false;
  if (endpoint.failing_since === null) {
    await context.apply({
      entity: 'webhook_endpoint',
      row: endpoint,
      event: 'webhook_endpoint.failing',
      patch: { failing_since_in_ms: 0 },
    });
    return false;
  }
  const failingMs = context.now.getTime() - endpoint.failing_since.getTime();
  if (failingMs < context.settings.webhookDisableAfterMs) return false;
  await disableWebhookEndpoint(endpoint, 'failing_too_long', context);
  return true;
}

async function disableWebhookEndpoint(
  endpoint: WebhookEndpointRow | undefined,
  reason: 'gone' | 'failing_too_long',
  context: DeliveryContext,
): Promise<void> {
  if (endpoint?.state !== 'enabled') return;
  const outcome = await context.apply({
    entity: 'webhook_endpoint',
    row: endpoint,
    event: 'webhook_endpoint.disabled',
    audit: { reason },
  });
  if (outcome.isApplied) {
    context.logger.error(
      { reason },
      'the merchant webhook was disabled and its events are held; correct the receiver, then run "token-worker deliveries enable"',
    );
  }
}
