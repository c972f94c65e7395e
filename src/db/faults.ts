import { AppError } from '../domain/errors.ts';

const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EPIPE',
  'EAI_AGAIN',
  'ENOENT',
]);

/** SQLSTATE classes: connection exception, insufficient resources, operator intervention. */
const outageStates = /^(?:08|53|57P)/;

/** What pg says, without any code of its own, when a connection goes away or none can be had. */
const outageWords =
  /connection terminated|not currently accepting connections|timeout exceeded when trying to connect|client has encountered a connection error/i;

/**
 * Whether a fault means that PostgreSQL is away, rather than that it refused something. Such a fault is never the fault of the job that
 * met it: the job waits and loses no attempt.
 */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string') {
    if (error.code === 'database_unavailable' || socketCodes.has(error.code)) return true;
    if (outageStates.test(error.code)) return true;
  }
  return outageWords.test(error.message) || isDatabaseOutage(error.cause);
}

/** Whether PostgreSQL refused a row because another one holds what may be there once only. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === '23505') || isUniqueViolation(error.cause);
}

/** PostgreSQL did not answer in time, or is away. */
export function databaseIsAway(cause?: unknown): AppError {
  return new AppError('database_unavailable', 'PostgreSQL does not answer; try again.', { cause });
}

/** What may be told to a backend of anything that was thrown: our own errors as they are, an outage, or `internal`. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return isDatabaseOutage(error)
    ? databaseIsAway(error)
    : new AppError('internal', 'The log holds more under this request id.', { cause: error });
}
