/**
 * Every error that may reach BullMQ, a log line, an HTTP answer or an audit row carries one of these codes.
 * The set is closed: dashboards and alerts are written against it.
 */
export const errorCodes = [
  // Input
  'config_invalid',
  'payload_invalid',
  'payload_version_unsupported',
  'job_unknown',
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
  // Our own services
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
  // Everything else; the log line holds the class of the fault, never its message
  'internal',
] as const;

/** One code of the closed set. */
export type ErrorCode = (typeof errorCodes)[number];

/** What an error may say besides its code: names of fields, never their values. */
export interface ErrorDetail {
  /** Paths of the fields that were wrong, for example `order.currency`. */
  readonly paths?: readonly string[];
  /** The underlying error. It is never serialised. */
  readonly cause?: unknown;
}

/** An error whose code and message may be shown to anyone; its `cause` may not. */
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

/** The code of any thrown value: its own when it has one, `internal` otherwise. */
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

/** After how many seconds the same request of a backend is worth sending again; undefined: it never is. */
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

/** Whether a fault lies in what was handed over, so that trying again can't help. */
export function isInputFault(error: unknown): error is AppError {
  return error instanceof AppError && inputFaults.has(error.code);
}
