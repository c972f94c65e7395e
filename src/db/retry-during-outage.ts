import pRetry from 'p-retry';
import { isDatabaseOutage } from './faults.ts';

const outageRetryMs = 250;

/**
 * Repeats a commit while PostgreSQL is unavailable, for at most `forMs` milliseconds. For a reply
 * of the gateway: only the memory of this process holds it. A commit whose answer was
 * lost runs again, so it must notice its own change.
 *
 * @throws the last error once the time is over, or any error that is no outage
 */
export async function retryDuringOutage<Result>(
  commit: () => Promise<Result>,
  forMs: number,
): Promise<Result> {
  const endsAtMs = performance.now() + forMs;
  return await pRetry(commit, {
    retries: Infinity,
    factor: 1,
    minTimeout: outageRetryMs,
    shouldRetry: ({ error }) => isDatabaseOutage(error) && performance.now() < endsAtMs,
  });
}
