import type { Transition } from './transition.ts';

/** The states of one request for a QuickPay ID, in the words used by code, SQL, logs and metrics. */
export const tokenizationStates = [
  'requested',
  'submitting',
  'submit_unknown',
  'awaiting_customer',
  'confirming',
  'active',
  'failed',
  'expired',
  'disabling',
  'disabled',
  'token_expired',
] as const;

/** A state of a tokenization. */
export type TokenizationState = (typeof tokenizationStates)[number];

/**
 * What can happen to a tokenization. No other change exists: the transition door refuses an event that is not listed for
 * the present state. A second row for an event is a second outcome that depends on where it happens.
 */
export const tokenizationTransitions = [
  { event: 'tokenization.requested', from: [null], to: 'requested' },
  { event: 'tokenization.submitting', from: ['requested'], to: 'submitting' },
  // From submit_unknown: the reply came after its lease had been given up.
  {
    event: 'tokenization.redirect_issued',
    from: ['submitting', 'submit_unknown'],
    to: 'awaiting_customer',
  },
  { event: 'tokenization.outcome_unknown', from: ['submitting'], to: 'submit_unknown' },
  // The gateway knows the reference but has no result yet; the redirect address went down with the lost reply.
  { event: 'tokenization.located', from: ['submit_unknown'], to: 'confirming' },
  { event: 'tokenization.resubmitted', from: ['submit_unknown'], to: 'requested' },
  { event: 'evidence.accepted', from: ['awaiting_customer', 'submit_unknown'], to: 'confirming' },
  // A success that comes late: the state stands until the gateway confirms it.
  { event: 'evidence.accepted', from: ['expired', 'failed'], to: 'same' },
  {
    event: 'evidence.pending',
    from: ['awaiting_customer', 'confirming', 'submit_unknown'],
    to: 'same',
  },
  // A query that settled nothing: the next one is scheduled.
  {
    event: 'reconcile.pending',
    from: [
      'awaiting_customer',
      'confirming',
      'submit_unknown',
      'expired',
      'failed',
      'active',
      'disabling',
    ],
    to: 'same',
  },
  // The gateway bears out what is believed: it is not asked again.
  { event: 'reconcile.settled', from: ['expired', 'failed'], to: 'same' },
  // The schedule has no further query; an operator decides. A late result is still accepted.
  {
    event: 'reconcile.exhausted',
    from: ['awaiting_customer', 'confirming', 'submit_unknown', 'expired', 'failed', 'disabling'],
    to: 'same',
  },
  // Somebody has the gateway asked now instead of by the schedule, which begins anew.
  {
    event: 'reconcile.requested',
    from: ['submit_unknown', 'awaiting_customer', 'confirming', 'expired', 'failed', 'disabling'],
    to: 'same',
  },
  {
    event: 'tokenization.activated',
    from: ['submitting', 'submit_unknown', 'awaiting_customer', 'confirming', 'expired', 'failed'],
    to: 'active',
  },
  {
    event: 'tokenization.failed',
    from: ['submitting', 'submit_unknown', 'awaiting_customer', 'confirming'],
    to: 'failed',
  },
  { event: 'tokenization.expired', from: ['awaiting_customer', 'confirming'], to: 'expired' },
  {
    event: 'conflict.second_token',
    from: ['active', 'disabling', 'disabled', 'token_expired'],
    to: 'same',
  },
  { event: 'conflict.failed_after_success', from: ['active'], to: 'same' },
  { event: 'token.disabling', from: ['active'], to: 'disabling' },
  { event: 'token.disabled', from: ['active', 'disabling'], to: 'disabled' },
  // The gateway refused the cancellation and says that the token works.
  { event: 'token.disable_refused', from: ['disabling'], to: 'active' },
  // The query named an expiry that was unknown, or another one than before.
  { event: 'token.expiry_learned', from: ['active'], to: 'same' },
  // Somebody was shown the QuickPay ID.
  {
    event: 'token.revealed',
    from: ['active', 'disabling', 'disabled', 'token_expired'],
    to: 'same',
  },
  { event: 'token.expiring', from: ['active'], to: 'same' },
  { event: 'token.expired', from: ['active'], to: 'token_expired' },
] as const satisfies readonly Transition<TokenizationState, string>[];

/** An event of a tokenization, which is also the `event` of its audit row. */
export type TokenizationEvent = (typeof tokenizationTransitions)[number]['event'];

/** States in which the gateway, the customer or we still owe a result. */
export const openTokenizationStates = [
  'requested',
  'submitting',
  'submit_unknown',
  'awaiting_customer',
  'confirming',
] as const satisfies readonly TokenizationState[];

/** Whether a result is still owed. */
export function isOpen(state: TokenizationState): boolean {
  return (openTokenizationStates as readonly string[]).includes(state);
}

/** States in which nothing is owed any more, to the customer or to whoever disables; evidence may still change them. */
export const finalTokenizationStates = [
  'active',
  'failed',
  'expired',
  'disabled',
  'token_expired',
] as const satisfies readonly TokenizationState[];

/** Whether somebody who waits for a result has it. A state that this release does not know is none. */
export function isFinal(state: string): boolean {
  return (finalTokenizationStates as readonly string[]).includes(state);
}
