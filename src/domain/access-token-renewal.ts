import type { AccessTokenEvent, AccessTokenState } from './access-token.ts';

/** The two calls that give a token: by the refresh token, or by app key and secret. */
export type RenewalCall = 'refresh' | 'issue';

/** What the current row says about how to renew it. */
export interface RenewalSituation {
  readonly state: AccessTokenState;
  readonly hasRefreshToken: boolean;
  /** Whether at most a tenth of the access token's life is left. */
  readonly isNearlyExpired: boolean;
  /** Failed attempts since the last success. */
  readonly failures: number;
}

interface CallRow {
  readonly states: readonly AccessTokenState[];
  readonly hasRefreshToken?: boolean;
  readonly isNearlyExpired?: boolean;
  /** Only after an odd number of failures, so that the two calls alternate. */
  readonly isAlternating?: true;
  readonly call: RenewalCall;
}

/**
 * Which call renews a token; the first row that fits decides. While a refresh is ambiguous the same
 * refresh token is tried again, since the gateway may not have taken it. From the last tenth of the
 * access token's life on, refresh and create alternate: a gateway that refuses a dead refresh token
 * without a readable code, or that fails for one of the two calls alone, is then not noticed by
 * readers.
 */
export const callTable: readonly CallRow[] = [
  { states: ['fresh'], hasRefreshToken: true, call: 'refresh' },
  { states: ['ambiguous'], hasRefreshToken: true, isNearlyExpired: false, call: 'refresh' },
  {
    states: ['ambiguous', 'none', 'suspended'],
    hasRefreshToken: true,
    isAlternating: true,
    call: 'refresh',
  },
  { states: ['none', 'fresh', 'ambiguous', 'rejected', 'suspended'], call: 'issue' },
];

/** The call for a situation; undefined while a call is under way (`issuing`, `refreshing`). */
export function callFor(situation: RenewalSituation): RenewalCall | undefined {
  return callTable.find(
    ({ states, hasRefreshToken, isNearlyExpired, isAlternating }) =>
      states.includes(situation.state) &&
      (hasRefreshToken ?? situation.hasRefreshToken) === situation.hasRefreshToken &&
      (isNearlyExpired ?? situation.isNearlyExpired) === situation.isNearlyExpired &&
      (isAlternating === undefined || situation.failures % 2 === 1),
  )?.call;
}

/** What the worker does after a reply, besides its event. */
export type NextStep = 'finish' | 'issue_now' | 'retry_soon' | 'back_off' | 'suspend';

/** The events that a reply may lead to. */
export type RenewalEvent = Extract<
  AccessTokenEvent,
  | 'access_token.refreshed'
  | 'access_token.refresh_rejected'
  | 'access_token.refresh_unknown'
  | 'access_token.issued'
  | 'access_token.suspended'
  | 'access_token.issue_unknown'
>;

interface ReplyRow {
  readonly call: RenewalCall;
  readonly reply: 'done' | 'refused' | 'unknown';
  /** Whether it is the first failure since the last success; absent: either. */
  readonly isFirst?: boolean;
  readonly event: RenewalEvent;
  readonly next: NextStep;
}

/**
 * What a reply does. The gateway does not publish whether it rotates refresh tokens, ends old
 * tokens or grants a grace window, and the worker need not know: a new refresh token replaces the
 * old one where there is one, and a dead refresh token is refused, which leads to a create.
 */
export const replyTable: readonly ReplyRow[] = [
  { call: 'refresh', reply: 'done', event: 'access_token.refreshed', next: 'finish' },
  { call: 'refresh', reply: 'refused', event: 'access_token.refresh_rejected', next: 'issue_now' },
  {
    call: 'refresh',
    reply: 'unknown',
    isFirst: true,
    event: 'access_token.refresh_unknown',
    next: 'retry_soon',
  },
  { call: 'refresh', reply: 'unknown', event: 'access_token.refresh_unknown', next: 'back_off' },
  { call: 'issue', reply: 'done', event: 'access_token.issued', next: 'finish' },
  { call: 'issue', reply: 'refused', event: 'access_token.suspended', next: 'suspend' },
  { call: 'issue', reply: 'unknown', event: 'access_token.issue_unknown', next: 'back_off' },
];

/** The row of a reply; every combination has one. */
export function decideOnReply(
  call: RenewalCall,
  reply: ReplyRow['reply'],
  isFirst: boolean,
): Pick<ReplyRow, 'event' | 'next'> {
  const row = replyTable.find(
    (known) =>
      known.call === call && known.reply === reply && (known.isFirst ?? isFirst) === isFirst,
  );
  if (row === undefined) throw new RangeError(`no decision on a ${call} that is ${reply}`);
  return row;
}
