import { type StatusMap, usualStatusMap } from '../domain/status-words.ts';

/** Configuration for what the gateway's documentation leaves open. Every rule has a default. */
export interface ReplyRulesInput {
  /** Codes of the JSON API that mean success. */
  readonly successCodes?: readonly string[];
  /** Codes that leave the outcome of a call unknown. */
  readonly retryableCodes?: readonly string[];
  /** Codes by which a query reports no result, beside a success without `data`. */
  readonly notFoundCodes?: readonly string[];
  /** Codes of the OAuth calls that mean success. */
  readonly oauthSuccessCodes?: readonly string[];
  /** Hosts that a customer may be sent to. `*.example.com` allows every host below it. */
  readonly redirectHostAllowList?: readonly string[];
  /** The meaning of each raw `quickPay.status`. */
  readonly statusMap?: StatusMap;
  /** Possible paths of the access token. The first with a text wins. */
  readonly accessTokenPaths?: readonly string[];
  /** Possible paths of the refresh token. The first with a text wins. */
  readonly refreshTokenPaths?: readonly string[];
  /** Possible paths of the lifetime in seconds. The first with a value wins. */
  readonly expiresInPaths?: readonly string[];
  /** Whether a renewal replaces the refresh token by the one in its reply. */
  readonly refreshTokenPolicy?: 'replace-if-present' | 'keep';
}

/** The rules with all defaults. */
export type ReplyRules = Required<ReplyRulesInput>;

/** Fills in the most likely value of each rule that is not configured. */
export function resolveRules(input: ReplyRulesInput): ReplyRules {
  return {
    successCodes: input.successCodes ?? ['000'],
    retryableCodes: input.retryableCodes ?? [],
    notFoundCodes: input.notFoundCodes ?? [],
    oauthSuccessCodes: input.oauthSuccessCodes ?? ['000', '200', '0'],
    redirectHostAllowList: input.redirectHostAllowList ?? ['*.oceanpayment.com'],
    statusMap: input.statusMap ?? usualStatusMap,
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
    refreshTokenPolicy: input.refreshTokenPolicy ?? 'replace-if-present',
  };
}
