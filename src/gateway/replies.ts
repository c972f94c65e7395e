import type { Secret } from '../security/secret.ts';

/** What the gateway says of a token: usable, not usable, not decided, or a word we do not know. */
export type QuickPayStatus = 'active' | 'failed' | 'pending' | 'unknown';

/** Why the outcome of a call is unknown. Whatever was asked for may have happened. */
export type UnknownCause =
  | 'timeout'
  | 'connection'
  | 'aborted'
  | 'http_5xx'
  | 'http_redirect'
  | 'body_unreadable'
  | 'body_too_large'
  | 'retryable_code'
  | 'code_unclear'
  | 'reference_mismatch'
  | 'redirect_host';

/** Nobody knows what the call did. */
export interface UnknownReply {
  readonly kind: 'unknown';
  readonly cause: UnknownCause;
}

/** The gateway said no. */
export interface RefusedReply {
  readonly kind: 'refused';
  /** The gateway's code, or the error of the OAuth standard. */
  readonly gatewayCode: string;
}

/** The reply to a creation: send the customer to `url`, or the result is here. */
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
  | RefusedReply
  | UnknownReply;

/** What a token is looked up by. */
export type QuickPayLookup =
  | {
      readonly by: 'orderReferenceId' | 'merchantReferenceId' | 'customerId';
      readonly value: string;
    }
  | { readonly by: 'quickpayId'; readonly value: Secret };

/** One token of an answer to a query. */
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

/** The answer to a query: records, or the gateway knows of none. */
export type QueryReply =
  | { readonly kind: 'found'; readonly records: readonly QuickPayRecord[] }
  | { readonly kind: 'none'; readonly gatewayCode: string }
  | UnknownReply;

/** The answer to a cancellation. `done` means accepted; only a query tells what became of the token. */
export type CancelReply =
  | { readonly kind: 'done'; readonly rawStatus: string }
  | RefusedReply
  | UnknownReply;

/** The answer to a check of an account. */
export type CheckReply = { readonly kind: 'done' } | RefusedReply | UnknownReply;

/** The answer to an OAuth call. */
export type AccessTokenReply =
  | {
      readonly kind: 'done';
      readonly accessToken: Secret;
      /** Undefined where the gateway does not rotate: the former one stays good. */
      readonly refreshToken: Secret | undefined;
      readonly expiresInMs: number | undefined;
    }
  | RefusedReply
  | UnknownReply;
