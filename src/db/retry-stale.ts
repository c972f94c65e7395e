import { AppError } from '../domain/errors.ts';

const attemptsMax = 20;

/** The last call of this process for each row that calls wait for. */
const lastCalls = new Map<string, Promise<unknown>>();

/**
 * Optimistic retry: runs `attempt`, which reads a row and changes it, until its change is not
 * stale.
 *
 * @param attempt returns undefined when another change of the row came first
 * @param rowKey names the row, where many callers may change one row concurrently. The calls of
 * this process with one key run one after the other, since only one of them at a time can commit
 * @throws `stale_version` when 20 attempts in a row were stale
 */
export async function retryOnStaleVersion<Result>(
  attempt: () => Promise<Result | undefined>,
  rowKey?: string,
): Promise<Result> {
  if (rowKey === undefined) return await retry(attempt);
  const earlier = lastCalls.get(rowKey) ?? Promise.resolve();
  const call = earlier.then(async () => await retry(attempt));
  const settled = call.catch(() => undefined);
  lastCalls.set(rowKey, settled);
  try {
    return await call;
  } finally {
    if (lastCalls.get(rowKey) === settled) lastCalls.delete(rowKey);
  }
}

async function retry<Result>(attempt: () => Promise<Result | undefined>): Promise<Result> {
  for (let count = 0; count < attemptsMax; count += 1) {
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw new AppError(
    'stale_version',
    'The row was changed concurrently at every attempt; try again.',
  );
}
