import type { RefusalScope } from '../domain/refusals.ts';
import type { StatusMeaning } from '../domain/status-words.ts';
import type { Secret } from '../security/secret.ts';

/** The gateway's status of a token: usable, not usable, undecided, or unknown to this worker. */
export type QuickPayStatus = StatusMeaning | 'unknown';

/** Why the outcome of a call is unknown. The gateway may or may not have executed the call. */
export type UnknownCause =
  | 'timeout'
  | 'connection'
  | 'aborted'
  | 'rate_limited'
  | 'http_5xx'
  | 'http_redirect'
  | 'body_unreadable'
  | 'body_too_large'
  | 'retryable_code'
  | 'code_unclear'
  | 'reference_mismatch'
  | 'redirect_host';

/** The outcome of the call is unknown. */
export interface UnknownReply {
  readonly kind: 'unknown';
  readonly cause: UnknownCause;
}

/** The outcome is unknown, although the gateway may have answered with a code. */
export interface UnclearReply extends UnknownReply {
  /** The gateway's code, where it answered with one that decides nothing. */
  readonly gatewayCode?: string | undefined;
}

/** The outcome of a creation is unknown. */
export interface UnknownCreateReply extends UnclearReply {
  /** The host of a page that no customer may be sent to, where its URL has one. */
  readonly refusedHost?: string | undefined;
}

/** The gateway refused the call. */
export interface RefusedReply {
  readonly kind: 'refused';
  /** The gateway's code, or an error of the OAuth standard. */
  readonly gatewayCode: string;
}

/** The JSON API refused the call. */
export interface RefusedByJsonApi extends RefusedReply {
  readonly scope: RefusalScope;
}

/** The reply to a creation: a URL to send the customer to, or the result at once. */
export type CreateReply =
  | {
      readonly kind: 'redirect';
      readonly url: string;
      readonly orderReferenceId: string | undefined;
    }
  | {
      readonly kind: 'done';
      readonly quickpayId: Secret;
      readonly status: QuickPayStatus;
      readonly rawStatus: string;
      readonly orderReferenceId: string | undefined;
    }
  | RefusedByJsonApi
  | UnknownCreateReply;

/** The key of a query. */
export type QuickPayLookup =
  | {
      readonly by: 'orderReferenceId' | 'merchantReferenceId' | 'customerId';
      readonly value: string;
    }
  | { readonly by: 'quickpayId'; readonly value: Secret };

/** One token in the reply to a query. */
export interface QuickPayRecord {
  readonly quickpayId: Secret | undefined;
  readonly status: QuickPayStatus;
  readonly rawStatus: string;
  /** A date without time or zone, as sent. */
  readonly expiryTime: string | undefined;
  readonly orderReferenceId: string | undefined;
  readonly merchantReferenceId: string | undefined;
  readonly customerId: string | undefined;
}

/** The reply to a query: records, or none. */
export type QueryReply =
  | { readonly kind: 'found'; readonly records: readonly QuickPayRecord[] }
  | { readonly kind: 'none'; readonly gatewayCode: string }
  | UnclearReply;

/** The reply to a cancellation. `done` means accepted; only a query tells the token's status. */
export type CancelReply =
  | { readonly kind: 'done'; readonly rawStatus: string }
  | RefusedByJsonApi
  | UnknownReply;

/** The reply to a check of an account. */
export type CheckReply = { readonly kind: 'done' } | RefusedByJsonApi | UnknownReply;

/** The reply to an OAuth call. */
export type AccessTokenReply =
  | {
      readonly kind: 'done';
      readonly accessToken: Secret;
      /** Undefined if the gateway does not rotate it: the previous one stays valid. */
      readonly refreshToken: Secret | undefined;
      readonly expiresInMs: number | undefined;
    }
  | RefusedReply
  | UnknownReply;
