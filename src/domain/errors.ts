/**
 * The closed set of error codes. Every error in BullMQ, a log line, an HTTP answer or an audit row
 * has one of them, and dashboards and alerts depend on them.
 */
export const errorCodes = [
  // Input
  'config_invalid',
  'payload_invalid',
  'payload_version_unsupported',
  'job_unknown',
  'job_stalled',
  'reference_conflict',
  'tokenization_not_found',
  'callback_not_found',
  'delivery_not_found',
  'credential_not_found',
  'credential_conflict',
  'dead_letter_not_found',
  'api_key_not_found',
  'return_url_not_allowed',
  'state_forbids',
  // The HTTP API
  'api_key_missing',
  'api_key_unknown',
  'api_keys_not_configured',
  'scope_missing',
  'rate_limited',
  'body_too_large',
  'media_type_unsupported',
  'route_not_found',
  'idempotency_key_mismatch',
  'wait_capacity_reached',
  // PostgreSQL, Redis and the worker itself
  'database_unavailable',
  'database_schema_outdated',
  'queue_unavailable',
  'queue_policy_invalid',
  'port_taken',
  'stale_version',
  'seal_broken',
  'key_unknown',
  // Gateway
  'gateway_refused',
  'gateway_unknown_outcome',
  'access_token_unavailable',
  'scan_late',
  // Any other fault. The log line holds the class of the error, never its message.
  'internal',
] as const;

/** One error code of the closed set. */
export type ErrorCode = (typeof errorCodes)[number];

/** The detail of an error: names of fields, never their values. */
export interface ErrorDetail {
  /** Paths of the fields that were wrong, for example `order.currency`. */
  readonly paths?: readonly string[];
  /** The underlying error. It is never serialized. */
  readonly cause?: unknown;
}

/** An error whose code and message may be shown to any caller. Its `cause` may not. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly paths: readonly string[];

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.paths = detail.paths ?? [];
  }
}

/** The code of an `AppError`; `internal` for any other thrown value. */
export function errorCodeOf(error: unknown): ErrorCode {
  return error instanceof AppError ? error.code : 'internal';
}

const retryAfter: Partial<Record<ErrorCode, number>> = {
  stale_version: 1,
  rate_limited: 60,
  database_unavailable: 2,
  wait_capacity_reached: 1,
  access_token_unavailable: 1,
};

/** Seconds after which a backend may retry the same request; undefined where a retry can't help. */
export function retryAfterSeconds(code: ErrorCode): number | undefined {
  return retryAfter[code];
}

const inputFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'payload_invalid',
  'payload_version_unsupported',
  'job_unknown',
  'reference_conflict',
  'return_url_not_allowed',
  'credential_not_found',
  'tokenization_not_found',
]);

/** Whether a job's input caused the fault, so that a retry can't help. */
export function isInputFault(error: unknown): error is AppError {
  return error instanceof AppError && inputFaults.has(error.code);
}
