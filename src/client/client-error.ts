import type { ErrorCode } from '../domain/errors.ts';

/**
 * A code of the worker's closed set, a code of the client's own, or a code of a newer worker that
 * this client does not know.
 */
export type TokenClientErrorCode =
  | ErrorCode
  | 'network'
  | 'timeout'
  | 'answer_invalid'
  | 'closed'
  | (string & Record<never, never>);

/** The detail of a `TokenClientError`. */
export interface TokenClientErrorDetail {
  readonly code: TokenClientErrorCode;
  /** The HTTP status; undefined if there was no HTTP answer. */
  readonly status?: number | undefined;
  /** The fields, parameters or headers at fault, without values. */
  readonly paths?: readonly string[] | undefined;
  /** Whether the same call may succeed later. The client has already retried if that was safe. */
  readonly isRetryable: boolean;
  /** The `x-request-id` of the call, which the worker's log and audit rows contain. */
  readonly requestId?: string | undefined;
}

/** The only error that the client throws. It has no `cause`, which could quote the request. */
export class TokenClientError extends Error {
  override readonly name = 'TokenClientError';
  readonly code: TokenClientErrorCode;
  readonly status: number | undefined;
  readonly paths: readonly string[];
  readonly isRetryable: boolean;
  readonly requestId: string | undefined;

  constructor(message: string, detail: TokenClientErrorDetail) {
    super(message);
    this.code = detail.code;
    this.status = detail.status;
    this.paths = detail.paths ?? [];
    this.isRetryable = detail.isRetryable;
    this.requestId = detail.requestId;
  }
}
