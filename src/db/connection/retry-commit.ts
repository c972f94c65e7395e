import pRetry from 'p-retry';
import { AppError, isInputFault } from '../../domain/errors.ts';

const retryMs = 250;

/**
 * Commits a reply of the gateway, which only the memory of this process holds. Any fault of the
 * database may pass: an outage, a migration under way, a missing partition. So the commit is
 * repeated until a try that begins after `forMs` milliseconds fails too: a connection that went
 * silent may have taken all of that time. A commit whose answer was lost runs again, so it must
 * notice its own change.
 *
 * @throws the last error of the last try, or an error that no repetition can change: of the input
 * or of the row's state
 */
export async function retryCommit<Result>(
  commit: () => Promise<Result>,
  forMs: number,
): Promise<Result> {
  const endsAtMs = performance.now() + forMs;
  let isLastTry = false;
  return await pRetry(commit, {
    retries: Infinity,
    factor: 1,
    minTimeout: retryMs,
    shouldRetry({ error }) {
      if (isInputOrStateFault(error) || isLastTry) return false;
      isLastTry = performance.now() >= endsAtMs;
      return true;
    },
  });
}

function isInputOrStateFault(error: unknown): boolean {
  return isInputFault(error) || (error instanceof AppError && error.code === 'state_forbids');
}
