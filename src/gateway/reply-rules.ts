import type { QuickPayStatus } from './replies.ts';

/** What the gateway's documentation leaves open about replies, as configuration. Everything has a default. */
export interface ReplyRulesInput {
  /** Codes of the JSON API that mean success. */
  readonly successCodes?: readonly string[];
  /** Codes that settle nothing: the call may be looked into again. */
  readonly retryableCodes?: readonly string[];
  /** Codes by which a query says that it knows nothing; empty: every code but those of success does. */
  readonly notFoundCodes?: readonly string[];
  /** Codes of the OAuth calls that mean success. */
  readonly oauthSuccessCodes?: readonly string[];
  /** Hosts that a customer may be sent to; `*.example.com` stands for all below it. */
  readonly redirectHostAllowList?: readonly string[];
  /** Raw `quickPay.status` values, by what they mean. */
  readonly statusMap?: Readonly<Record<string, QuickPayStatus>>;
  /** Paths at which the access token is looked for, the first that holds text wins. */
  readonly accessTokenPaths?: readonly string[];
  /** The same for the refresh token. */
  readonly refreshTokenPaths?: readonly string[];
  /** The same for the lifetime in seconds. */
  readonly expiresInPaths?: readonly string[];
}

/** The rules with every default filled in. */
export type ReplyRules = Required<ReplyRulesInput>;

/** Fills in what protocol notes name as the likely answer to each open question. */
export function resolveRules(input: ReplyRulesInput): ReplyRules {
  return {
    successCodes: input.successCodes ?? ['000'],
    retryableCodes: input.retryableCodes ?? [],
    notFoundCodes: input.notFoundCodes ?? [],
    oauthSuccessCodes: input.oauthSuccessCodes ?? ['000', '200', '0'],
    redirectHostAllowList: input.redirectHostAllowList ?? ['*.oceanpayment.com'],
    statusMap: input.statusMap ?? { '1': 'active', '0': 'failed', '-1': 'pending' },
    accessTokenPaths: input.accessTokenPaths ?? [
      'data.access_token',
      'data.accessToken',
      'data.token',
      'access_token',
      'accessToken',
      'token',
    ],
    refreshTokenPaths: input.refreshTokenPaths ?? [
      'data.refresh_token',
      'data.refreshToken',
      'refresh_token',
      'refreshToken',
    ],
    expiresInPaths: input.expiresInPaths ?? [
      'data.expires_in',
      'data.expiresIn',
      'expires_in',
      'expiresIn',
    ],
  };
}
