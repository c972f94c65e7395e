import { AppError } from '../../domain/errors.ts';
import { outageStates, unreachableCodes } from '../../domain/store-fault.ts';

/** The messages of pg's errors without a code for lost and refused connections. */
const outageMessages =
  /connection terminated|not currently accepting connections|timeout exceeded when trying to connect|client has encountered a connection error/i;

/**
 * Whether a fault means that PostgreSQL is unavailable, not that it refused a statement. An outage
 * is not the job's fault, so the job waits without losing an attempt.
 */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string') {
    if (error.code === 'database_unavailable' || unreachableCodes.includes(error.code)) return true;
    if (outageStates.test(error.code)) return true;
  }
  return outageMessages.test(error.message) || isDatabaseOutage(error.cause);
}

/** Whether PostgreSQL refused a row because it breaks a unique index. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === '23505') || isUniqueViolation(error.cause);
}

/** The error for a PostgreSQL that is unavailable or did not answer in time. */
export function databaseUnavailable(cause?: unknown): AppError {
  return new AppError('database_unavailable', 'PostgreSQL does not answer; try again.', { cause });
}

/** The error that a backend may see for a thrown value. An unknown fault becomes `internal`. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return isDatabaseOutage(error)
    ? databaseUnavailable(error)
    : new AppError(
        'internal',
        "The worker failed; its log has the cause under this request's id.",
        {
          cause: error,
        },
      );
}
