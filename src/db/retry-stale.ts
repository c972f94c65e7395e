import { AppError } from '../domain/errors.ts';

const attemptsMax = 20;

/**
 * Reads a row and changes it, anew whenever somebody else was first: for callers that want the change whatever happened
 * meanwhile. `attempt` gives undefined when its change was stale. Throws `stale_version` when that happens every time.
 */
export async function retryOnStaleVersion<Result>(
  attempt: () => Promise<Result | undefined>,
): Promise<Result> {
  for (let count = 0; count < attemptsMax; count += 1) {
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw new AppError('stale_version', 'The row changes too fast; try again.');
}
