import type { Transition } from './transition.ts';

/**
 * How a message arrives: a redirect of the customer's browser, or a push of the gateway's server.
 */
export type Channel = 'redirect' | 'notify';

/** The states of one inbound message. */
export const callbackStates = [
  'received',
  'orphaned',
  'matched',
  'accepted',
  'rejected',
  'abandoned',
  'expired',
] as const;

export type CallbackState = (typeof callbackStates)[number];

/**
 * Every change of a callback. Only another judgement changes a verdict. A repeated arrival raises
 * `seen_count` and is no change of state.
 */
export const callbackTransitions = [
  { event: 'callback.received', from: [null], to: 'received' },
  // About an unknown account, of which the row keeps an excerpt, or unreadable and naming no
  // tokenization.
  { event: 'callback.refused', from: [null], to: 'rejected' },
  { event: 'callback.orphaned', from: ['received'], to: 'orphaned' },
  { event: 'callback.matched', from: ['orphaned'], to: 'matched' },
  { event: 'callback.abandoned', from: ['orphaned'], to: 'abandoned' },
  { event: 'callback.accepted', from: ['received', 'matched'], to: 'accepted' },
  { event: 'callback.rejected', from: ['received', 'matched'], to: 'rejected' },
  // An operator has the message judged again.
  {
    event: 'callback.replayed',
    from: ['accepted', 'rejected', 'orphaned', 'abandoned'],
    to: 'received',
  },
  // Retention deletes an unproven message; its audit rows stay. A refused message is deleted
  // without this event.
  { event: 'callback.expired', from: ['accepted', 'rejected', 'abandoned'], to: 'expired' },
] as const satisfies readonly Transition<CallbackState, string>[];

/** An event of a callback, which is also the `event` of its audit row. */
export type CallbackEvent = (typeof callbackTransitions)[number]['event'];

/** Why a message was rejected. The set is closed; a reason never holds a value of the message. */
export type RejectionReason =
  | 'unreadable'
  | 'unknown_account'
  | 'grammar'
  | 'unknown_status'
  | 'signature_absent'
  | 'signature_malformed'
  | 'signature_mismatch'
  | 'account_mismatch'
  | 'amount_mismatch'
  | 'currency_mismatch'
  | 'order_reference_mismatch'
  | 'merchant_reference_mismatch'
  | 'not_a_token_message';
