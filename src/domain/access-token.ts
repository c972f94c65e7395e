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

/** What can happen to an access token. An intent is committed before the network is used, a result after it. */
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
  { event: 'access_token.refresh_intent', from: ['fresh', 'ambiguous'], to: 'refreshing' },
  { event: 'access_token.refreshed', from: ['refreshing'], to: 'fresh' },
  { event: 'access_token.refresh_unknown', from: ['refreshing'], to: 'ambiguous' },
  { event: 'access_token.refresh_rejected', from: ['refreshing'], to: 'rejected' },
  { event: 'access_token.lease_lost', from: ['refreshing'], to: 'ambiguous' },
  { event: 'access_token.lease_lost', from: ['issuing'], to: 'none' },
  // The pair of a caller that lost its lease: kept sealed, and never written over a newer one.
  {
    event: 'access_token.candidate_kept',
    from: ['none', 'issuing', 'fresh', 'refreshing', 'ambiguous', 'rejected', 'suspended'],
    to: 'same',
  },
] as const satisfies readonly Transition<AccessTokenState, string>[];

/** An event of an access token, which is also the `event` of its audit row. */
export type AccessTokenEvent = (typeof accessTokenTransitions)[number]['event'];

/** How long a token lives, all in milliseconds except the fractions. */
export interface AccessTokenLife {
  readonly ttlMs: number;
  readonly skewMs: number;
  readonly dueFraction: number;
}

/** When an access token of a given life has to be renewed and when it must no longer be handed out. */
export interface AccessTokenTimes {
  readonly dueAt: Date;
  readonly expiresAt: Date;
}

const jitterFraction = 0.1;

/**
 * Times of a token whose request started at `startedAt` (database clock). The documented lifetime counts from the
 * gateway's side of the request, so counting from its start errs on the safe side; `skewMs` is the margin for clocks.
 * A shorter lifetime named by the gateway wins over the configured one.
 *
 * @param random a number in [0, 1), spreads the refreshes of many credentials over +/- 10 % of the due time
 */
export function accessTokenTimes(
  startedAt: Date,
  life: AccessTokenLife,
  gatewayTtlMs: number | undefined,
  random: number,
): AccessTokenTimes {
  const lifeMs = Math.min(life.ttlMs, gatewayTtlMs ?? life.ttlMs);
  const expiresAtMs = startedAt.getTime() + Math.max(0, lifeMs - life.skewMs);
  const jitter = 1 + (random * 2 - 1) * jitterFraction;
  const dueAtMs = startedAt.getTime() + lifeMs * life.dueFraction * jitter;
  return { dueAt: new Date(Math.min(dueAtMs, expiresAtMs)), expiresAt: new Date(expiresAtMs) };
}
