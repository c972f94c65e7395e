import type { Transition } from './transition.ts';

/** The states of one request for a QuickPay ID, as code, SQL, logs and metrics name them. */
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

export type TokenizationState = (typeof tokenizationStates)[number];

/**
 * Every change of a tokenization. The transition door refuses an event that is not listed for the
 * current state. An event with two rows leads to a different state depending on where it happens.
 */
export const tokenizationTransitions = [
  { event: 'tokenization.requested', from: [null], to: 'requested' },
  { event: 'tokenization.submitting', from: ['requested'], to: 'submitting' },
  // From submit_unknown: the reply came after its lease had expired.
  {
    event: 'tokenization.redirect_issued',
    from: ['submitting', 'submit_unknown'],
    to: 'awaiting_customer',
  },
  // A proven push came before the reply; the customer still needs the page.
  { event: 'tokenization.redirect_issued', from: ['confirming'], to: 'same' },
  { event: 'tokenization.outcome_unknown', from: ['submitting'], to: 'submit_unknown' },
  // The reply came after its lease had expired, and the worker refused it.
  { event: 'tokenization.outcome_unknown', from: ['submit_unknown'], to: 'same' },
  // The reply names neither a page for the customer nor a result: the gateway is still at work.
  {
    event: 'tokenization.pending',
    from: ['submitting', 'submit_unknown'],
    to: 'confirming',
  },
  // A proven push came before that reply.
  { event: 'tokenization.pending', from: ['confirming'], to: 'same' },
  // The gateway has the request, but the URL of its page was in the lost reply, and the request
  // must not be sent again. From confirming: a signed message came first, and queries deny it.
  {
    event: 'tokenization.redirect_lost',
    from: ['submit_unknown', 'confirming'],
    to: 'confirming',
  },
  { event: 'tokenization.resubmitted', from: ['submit_unknown'], to: 'requested' },
  { event: 'evidence.accepted', from: ['awaiting_customer', 'submit_unknown'], to: 'confirming' },
  // A late success: the state stays until the gateway confirms it.
  { event: 'evidence.accepted', from: ['expired', 'failed'], to: 'same' },
  {
    event: 'evidence.pending',
    from: ['awaiting_customer', 'confirming', 'submit_unknown'],
    to: 'same',
  },
  // A query settled nothing; the next one is scheduled.
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
  // The gateway confirms the stored result, so the worker queries no more.
  { event: 'reconcile.settled', from: ['expired', 'failed'], to: 'same' },
  // The schedule has no further query, so an operator decides. A late result is still accepted.
  {
    event: 'reconcile.exhausted',
    from: ['awaiting_customer', 'confirming', 'submit_unknown', 'expired', 'failed', 'disabling'],
    to: 'same',
  },
  // A backend or an operator asked for a query now; the schedule restarts.
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
  // A query named an expiry that was unknown or has changed.
  { event: 'token.expiry_learned', from: ['active'], to: 'same' },
  // A backend read the QuickPay ID in the clear.
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

/** States without a result yet. */
export const openTokenizationStates = [
  'requested',
  'submitting',
  'submit_unknown',
  'awaiting_customer',
  'confirming',
] as const satisfies readonly TokenizationState[];

/** Whether the tokenization has no result yet. */
export function isOpen(state: TokenizationState): boolean {
  return (openTokenizationStates as readonly string[]).includes(state);
}

/**
 * States that end a wait for a tokenization or for its disabling. Evidence may still change them.
 */
const finalTokenizationStates = [
  'active',
  'failed',
  'expired',
  'disabled',
  'token_expired',
] as const satisfies readonly TokenizationState[];

/** Whether a state ends a wait. A state that this release does not know does not. */
export function isFinal(state: string): boolean {
  return (finalTokenizationStates as readonly string[]).includes(state);
}
