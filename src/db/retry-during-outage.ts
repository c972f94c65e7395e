import pRetry from 'p-retry';
import { isDatabaseOutage } from './faults.ts';

const outageRetryMs = 250;

/**
 * Repeats a commit while PostgreSQL is unavailable, until a try that begins after `forMs`
 * milliseconds fails too: a connection that went silent may have taken all of that time. For a
 * reply of the gateway: only the memory of this process holds it. A commit whose answer was lost
 * runs again, so it must notice its own change.
 *
 * @throws the last error of the last try, or any error that is no outage
 */
export async function retryDuringOutage<Result>(
  commit: () => Promise<Result>,
  forMs: number,
): Promise<Result> {
  const endsAtMs = performance.now() + forMs;
  let isLastTry = false;
  return await pRetry(commit, {
    retries: Infinity,
    factor: 1,
    minTimeout: outageRetryMs,
    shouldRetry({ error }) {
      if (!isDatabaseOutage(error) || isLastTry) return false;
      isLastTry = performance.now() >= endsAtMs;
      return true;
    },
  });
}
