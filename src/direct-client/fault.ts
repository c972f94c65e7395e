import { TokenClientError } from '../client/client-error.ts';
import { asAppError } from '../db/faults.ts';
import { retryAfterSeconds } from '../domain/errors.ts';

/** What a call says of anything that was thrown: the code and paths that the HTTP API would answer with, and no cause, which might quote values. */
export function clientErrorOf(error: unknown, requestId?: string): TokenClientError {
  if (error instanceof TokenClientError) return error;
  const { code, message, paths } = asAppError(error);
  return new TokenClientError(code === 'internal' ? 'A fault; onFault is told more.' : message, {
    code,
    paths,
    isRetryable: retryAfterSeconds(code) !== undefined,
    requestId,
  });
}

/** What calls on a closed client end with. */
export function closedError(): TokenClientError {
  return new TokenClientError('The client was closed.', { code: 'closed', isRetryable: false });
}
