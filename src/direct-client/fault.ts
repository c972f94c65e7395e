import { TokenClientError } from '../client/client-error.ts';
import { asAppError } from '../db/connection/faults.ts';
import { retryAfterSeconds } from '../domain/errors.ts';

/**
 * The error of a call for a thrown value, with the code and paths of the HTTP API. It has no cause,
 * which could quote values.
 */
export function clientErrorOf(error: unknown, requestId?: string): TokenClientError {
  if (error instanceof TokenClientError) return error;
  const { code, message, paths } = asAppError(error);
  const text = code === 'internal' ? 'The call failed; onFault gets the cause.' : message;
  return new TokenClientError(text, {
    code,
    paths,
    isRetryable: retryAfterSeconds(code) !== undefined,
    requestId,
  });
}

/** The error of calls on a closed client. */
export function closedError(): TokenClientError {
  return new TokenClientError('The client was closed.', { code: 'closed', isRetryable: false });
}
