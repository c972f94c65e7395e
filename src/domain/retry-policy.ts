/** How often and how soon a job that threw is retried. */
export interface RetryPolicy {
  readonly attemptsMax: number;
  readonly baseMs: number;
  readonly capMs: number;
}

/** Exponential back-off: `baseMs`, twice that, four times that, and so on up to `capMs`. */
export function exponential(policy: RetryPolicy): RetryPolicy {
  return policy;
}

/**
 * The wait before the next attempt, in milliseconds. The upper half of the wait is random, so that
 * jobs that failed together are not retried together.
 *
 * @param attemptsMade failed attempts so far, from 1
 * @param random a number in [0, 1)
 */
export function backoffMs(policy: RetryPolicy, attemptsMade: number, random: number): number {
  const ceilingMs = Math.min(policy.capMs, policy.baseMs * 2 ** Math.max(0, attemptsMade - 1));
  return Math.max(1, Math.round(ceilingMs * (0.5 + random * 0.5)));
}
