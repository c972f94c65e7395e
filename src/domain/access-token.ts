import type { Transition } from './transition.ts';

/** The states of one OPCard access token. Expired is computed from the clock and never stored. */
export const accessTokenStates = [
  'none',
  'issuing',
  'fresh',
  'refreshing',
  'ambiguous',
  'rejected',
  'suspended',
] as const;

/** A state of an access token. */
export type AccessTokenState = (typeof accessTokenStates)[number];

/**
 * What can happen to an access token. An intent is committed before the network is used, a result
 * after it.
 */
export const accessTokenTransitions = [
  { event: 'access_token.registered', from: [null], to: 'none' },
  {
    event: 'access_token.issue_intent',
    from: ['none', 'fresh', 'ambiguous', 'rejected', 'suspended'],
    to: 'issuing',
  },
  { event: 'access_token.issued', from: ['issuing'], to: 'fresh' },
  { event: 'access_token.suspended', from: ['issuing'], to: 'suspended' },
  // A create whose outcome is unknown is simply repeated: it needs nothing but the app key.
  { event: 'access_token.issue_unknown', from: ['issuing'], to: 'none' },
  {
    event: 'access_token.refresh_intent',
    from: ['fresh', 'ambiguous', 'none', 'suspended'],
    to: 'refreshing',
  },
  { event: 'access_token.refreshed', from: ['refreshing'], to: 'fresh' },
  { event: 'access_token.refresh_unknown', from: ['refreshing'], to: 'ambiguous' },
  { event: 'access_token.refresh_rejected', from: ['refreshing'], to: 'rejected' },
  { event: 'access_token.lease_lost', from: ['refreshing'], to: 'ambiguous' },
  { event: 'access_token.lease_lost', from: ['issuing'], to: 'none' },
  // A pair came after its attempt was over. The worker drops it; the next renewal gets another.
  { event: 'access_token.late_reply', from: accessTokenStates, to: 'same' },
  // A backend reports that the gateway refused the current generation: its renewal is brought
  // forward.
  { event: 'access_token.reported_invalid', from: accessTokenStates, to: 'same' },
  // Renewal is overdue and little of the token's life is left.
  { event: 'access_token.alarmed', from: accessTokenStates, to: 'same' },
  // The credential has a new secret: the refused call is tried again at once.
  { event: 'access_token.retried', from: ['suspended'], to: 'same' },
  // The credential names another application, or was removed: the tokens are deleted.
  { event: 'access_token.cleared', from: accessTokenStates, to: 'none' },
] as const satisfies readonly Transition<AccessTokenState, string>[];

/** An event of an access token, which is also the `event` of its audit row. */
export type AccessTokenEvent = (typeof accessTokenTransitions)[number]['event'];

/**
 * How a read ends. It returns a token from the cache (`memory`), from the database, after a wait
 * for the renewal (`waited`), or from the cache because the database did not answer (`outage`). Or
 * it returns none: there is no valid token (`unavailable`), no such credential (`not_found`), no
 * database (`no_database`), or another fault (`fault`).
 */
export const accessTokenReadOutcomes = [
  'memory',
  'database',
  'waited',
  'outage',
  'unavailable',
  'not_found',
  'no_database',
  'fault',
] as const;

/** How a read ended. */
export type AccessTokenReadOutcome = (typeof accessTokenReadOutcomes)[number];
