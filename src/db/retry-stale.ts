import { AppError } from '../domain/errors.ts';

const attemptsMax = 20;

/**
 * Optimistic retry: runs `attempt`, which reads a row and changes it, until its change is not
 * stale.
 *
 * @param attempt returns undefined when another change of the row came first
 * @throws `stale_version` when 20 attempts in a row were stale
 */
export async function retryOnStaleVersion<Result>(
  attempt: () => Promise<Result | undefined>,
): Promise<Result> {
  for (let count = 0; count < attemptsMax; count += 1) {
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw new AppError(
    'stale_version',
    'The row was changed concurrently at every attempt; try again.',
  );
}
