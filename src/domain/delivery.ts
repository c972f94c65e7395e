import type { TokenizationEvent } from './tokenization.ts';
import type { Transition } from './transition.ts';

/** The states of one event on its way to the merchant's backend. */
export const deliveryStates = ['pending', 'held', 'delivered', 'failed'] as const;

export type DeliveryState = (typeof deliveryStates)[number];

/** Every change of a delivery. A replay is a new delivery. */
export const deliveryTransitions = [
  { event: 'delivery.created', from: [null], to: 'pending' },
  // The attempt failed; the next one is scheduled.
  { event: 'delivery.attempted', from: ['pending'], to: 'same' },
  { event: 'delivery.delivered', from: ['pending'], to: 'delivered' },
  { event: 'delivery.failed', from: ['pending', 'held'], to: 'failed' },
  // No address is enabled, or an earlier event of the same token still waits for one.
  { event: 'delivery.held', from: ['pending'], to: 'held' },
  { event: 'delivery.released', from: ['held'], to: 'pending' },
] as const satisfies readonly Transition<DeliveryState, string>[];

/** An event of a delivery, which is also the `event` of its audit row. */
export type DeliveryEvent = (typeof deliveryTransitions)[number]['event'];

/** The states of the merchant's webhook address. */
export type WebhookEndpointState = 'enabled' | 'disabled';

/** Every change of the merchant's webhook address. */
export const webhookEndpointTransitions = [
  { event: 'webhook_endpoint.registered', from: [null], to: 'enabled' },
  { event: 'webhook_endpoint.failing', from: ['enabled'], to: 'same' },
  { event: 'webhook_endpoint.recovered', from: ['enabled'], to: 'same' },
  { event: 'webhook_endpoint.disabled', from: ['enabled'], to: 'disabled' },
  { event: 'webhook_endpoint.enabled', from: ['disabled'], to: 'enabled' },
] as const satisfies readonly Transition<WebhookEndpointState, string>[];

/** An event of a webhook address, which is also the `event` of its audit row. */
export type WebhookEndpointEvent = (typeof webhookEndpointTransitions)[number]['event'];

const announcedEvents: ReadonlySet<string> = new Set([
  'tokenization.redirect_issued',
  'tokenization.redirect_lost',
  'tokenization.pending',
  'tokenization.activated',
  'tokenization.failed',
  'tokenization.expired',
  'token.expiring',
  'token.expired',
  'token.disabled',
  'token.disable_refused',
  'conflict.second_token',
  'conflict.failed_after_success',
  'reconcile.exhausted',
] satisfies readonly TokenizationEvent[]);

/** Whether a tokenization event is sent to the merchant's backend. */
export function isAnnounced(event: string): boolean {
  return announcedEvents.has(event);
}

/** What the wait for the next attempt depends on. Times in milliseconds. */
export interface AttemptResult {
  /** Whether the receiver answered 429, or did not answer in time. */
  readonly isOverloaded: boolean;
  readonly retryAfterMs?: number | undefined;
}

const overloadedWaitMinMs = 60_000;
const jitterShare = 0.2;

/**
 * The wait before attempt number `attempt` (from 0), in milliseconds; undefined when the schedule
 * is over. Each step has a jitter of 20 % either way, so that deliveries that failed together do
 * not retry together. `Retry-After` is kept between one and two steps. After a 429 or a timeout the
 * wait is at least a minute.
 */
export function nextAttemptMs(
  scheduleMs: readonly number[],
  attempt: number,
  { isOverloaded, retryAfterMs }: AttemptResult,
  random: number,
): number | undefined {
  const step = scheduleMs[attempt];
  if (step === undefined) return undefined;
  const jittered = step * (1 - jitterShare + 2 * jitterShare * random);
  const waitMs =
    retryAfterMs === undefined ? jittered : Math.min(Math.max(retryAfterMs, step), 2 * step);
  return Math.round(isOverloaded ? Math.max(waitMs, overloadedWaitMinMs) : waitMs);
}
