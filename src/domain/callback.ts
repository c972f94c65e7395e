import type { Transition } from './transition.ts';

/** How a message reached us: through the customer's browser, or pushed by the gateway's server. */
export const channels = ['redirect', 'notify'] as const;

/** The way a message came in. */
export type Channel = (typeof channels)[number];

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

/** A state of a callback. */
export type CallbackState = (typeof callbackStates)[number];

/** What can happen to a callback. A verdict changes only by judging the message again; `seen_count` alone is no change of state. */
export const callbackTransitions = [
  { event: 'callback.received', from: [null], to: 'received' },
  // Unreadable, or for an account that we do not hold: only a digest and a short excerpt are kept.
  { event: 'callback.refused', from: [null], to: 'rejected' },
  { event: 'callback.orphaned', from: ['received'], to: 'orphaned' },
  { event: 'callback.matched', from: ['orphaned'], to: 'matched' },
  { event: 'callback.abandoned', from: ['orphaned'], to: 'abandoned' },
  { event: 'callback.accepted', from: ['received', 'matched'], to: 'accepted' },
  { event: 'callback.rejected', from: ['received', 'matched'], to: 'rejected' },
  // An operator has it judged once more.
  {
    event: 'callback.replayed',
    from: ['accepted', 'rejected', 'orphaned', 'abandoned'],
    to: 'received',
  },
  // What nobody vouches for is removed after a while; its audit rows stay. A refused message goes without this step.
  { event: 'callback.expired', from: ['accepted', 'rejected', 'abandoned'], to: 'expired' },
] as const satisfies readonly Transition<CallbackState, string>[];

/** An event of a callback, which is also the `event` of its audit row. */
export type CallbackEvent = (typeof callbackTransitions)[number]['event'];

/** Why a message was not believed. The set is closed; a reason never holds a value of the message. */
export type RejectionReason =
  | 'unreadable'
  | 'unknown_account'
  | 'grammar'
  | 'signature_absent'
  | 'signature_malformed'
  | 'signature_mismatch'
  | 'account_mismatch'
  | 'amount_mismatch'
  | 'currency_mismatch'
  | 'order_reference_mismatch'
  | 'merchant_reference_mismatch'
  | 'not_a_token_message';
