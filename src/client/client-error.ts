import type { ErrorCode } from '../domain/errors.ts';

/**
 * What was wrong: a code of the worker's closed set, a fault that the client found by itself, or a code of a newer worker
 * that this client does not know.
 */
export type TokenClientErrorCode =
  | ErrorCode
  | 'network'
  | 'timeout'
  | 'answer_invalid'
  | 'closed'
  | (string & Record<never, never>);

/** What a `TokenClientError` says. */
export interface TokenClientErrorDetail {
  readonly code: TokenClientErrorCode;
  /** The HTTP status; undefined where no answer came, or none was asked for. */
  readonly status?: number | undefined;
  /** The fields, parameters or headers at fault. They name no values. */
  readonly paths?: readonly string[] | undefined;
  /** Whether the same call may succeed later. The client has tried again already where that was safe. */
  readonly isRetryable: boolean;
  /** The `x-request-id` under which the worker's log and audit rows know the call. */
  readonly requestId?: string | undefined;
}

/** The only error that the client throws. It holds nothing of what was sent, and so no `cause`, which might. */
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
