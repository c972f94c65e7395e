import { isDatabaseOutage } from '../db/connection/faults.ts';
import { deleteRelayed, type ReleasedRow, releaseOutbox, stripOutbox } from '../db/outbox.ts';
import type { OutboxRow } from '../db/rows.ts';
import { AppError, errorCodeOf, isInputFault } from '../domain/errors.ts';
import { backoffMs, exponential } from '../domain/retry-policy.ts';
import { acceptOutboxRow } from './accept-outbox-row.ts';
import { buryJob } from '../dead-letter/bury.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { Logger } from '../observability/logger.ts';
import type { QueueBackend } from './backend.ts';
import { addJobs } from './producer.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';

/** What the relay of a batch needs. */
export interface RelayBatchOptions {
  readonly operations: OperationDependencies;
  readonly backend: QueueBackend;
  readonly workerId: string;
  readonly logger: Logger;
}

/**
 * The retries of a row that may be at fault itself; after the last one it goes to the dead letters.
 */
const rowRetry = exponential({ attemptsMax: 10, baseMs: 1_000, capMs: 60_000 });
const outageDelayMs = 1_000;
/** After this many failures in a row, sending one by one stops and leaves the rest for a retry. */
const failuresInARowMax = 3;

type Sendable = { readonly kind: 'sendable'; readonly row: OutboxRow; readonly job: OutboxJob };
type Failed = { readonly kind: 'failed'; readonly row: OutboxRow; readonly released: ReleasedRow };
type Accepted =
  | (Sendable & { readonly isSealed: boolean })
  | { readonly kind: 'finished' }
  | Failed;

/**
 * Relays claimed rows: accepts each, puts its job onto its queue, then deletes or releases the row.
 * A row that fails delays no other row, except the later rows of its ordering key.
 *
 * Rows go in rounds, with at most one row of each key, and one round ends before the next begins.
 * What is left at `deadline`, an instant of `performance.now()`, is released, since its lease is
 * about to expire. Throws what the database throws during an outage; the leases then expire by
 * themselves.
 */
export async function relayBatch(
  options: RelayBatchOptions,
  rows: readonly OutboxRow[],
  deadline: number,
): Promise<{ readonly failed: number }> {
  const blockedKeys = new Map<string, ReleasedRow>();
  let failedCount = 0;
  for (const round of roundsOf(rows)) {
    const isLate = performance.now() > deadline;
    const isBlocked = ({ enqueue_key: key }: OutboxRow): boolean =>
      isLate || (key !== null && blockedKeys.has(key));
    const blocked = round.filter(isBlocked);
    const failed = await relayRound(
      options,
      round.filter((row) => !isBlocked(row)),
    );
    for (const { row, released } of failed) {
      if (row.enqueue_key !== null) blockedKeys.set(row.enqueue_key, released);
    }
    failedCount += failed.length;
    await releaseOutbox(options.operations.db, options.workerId, [
      ...failed.map(({ released }) => released),
      ...blocked.map(({ id, enqueue_key: key }) => ({
        id,
        delayMs: blockedKeys.get(key ?? '')?.delayMs ?? 0,
        countsAsAttempt: false,
      })),
    ]);
  }
  return { failed: failedCount };
}

/** The first row of each key and all rows without one, then the second of each key, and so on. */
function roundsOf(rows: readonly OutboxRow[]): readonly (readonly OutboxRow[])[] {
  const rounds: OutboxRow[][] = [];
  const roundOfKey = new Map<string, number>();
  for (const row of rows) {
    const key = row.enqueue_key;
    const round = key === null ? 0 : (roundOfKey.get(key) ?? 0);
    if (key !== null) roundOfKey.set(key, round + 1);
    (rounds[round] ??= []).push(row);
  }
  return rounds;
}

async function relayRound(
  options: RelayBatchOptions,
  rows: readonly OutboxRow[],
): Promise<readonly Failed[]> {
  const { operations, workerId } = options;
  const accepted = await settleAll(rows.map(async (row) => await acceptRow(options, row)));
  const sendable = accepted.filter((one) => one.kind === 'sendable');
  // Content leaves the outbox before the queue is asked: an unavailable queue must not keep it
  // here.
  await stripOutbox(
    operations.db,
    workerId,
    sendable
      .filter(({ isSealed }) => isSealed)
      .map(({ row, job }) => ({ id: row.id, jobId: job.jobId, payload: job.payload })),
  );
  const unsent = await sendJobs(options, sendable);
  const failed = [...accepted.filter((one) => one.kind === 'failed'), ...unsent];
  const failedIds = new Set(failed.map(({ row }) => row.id));
  const relayed = rows.filter(({ id }) => !failedIds.has(id)).map(({ id }) => id);
  await deleteRelayed(operations.db, workerId, relayed);
  return failed;
}

/** Like `Promise.all`, but waits for all of the work before it throws. */
async function settleAll<Value>(work: readonly Promise<Value>[]): Promise<readonly Value[]> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}

async function acceptRow(options: RelayBatchOptions, row: OutboxRow): Promise<Accepted> {
  try {
    const accepted = await acceptOutboxRow(options.operations, row);
    if (accepted.kind === 'settled') return { kind: 'finished' };
    return { kind: 'sendable', row, job: accepted.job, isSealed: accepted.kind === 'sealed' };
  } catch (error) {
    if (isDatabaseOutage(error)) throw error;
    if (isPermanent(error) || row.tries >= rowRetry.attemptsMax) {
      await buryRow(options, row, error);
      return { kind: 'finished' };
    }
    options.logger.error(
      { row: row.id, job: row.job_name, tries: row.tries, error },
      'an outbox row could not be accepted; trying it again',
    );
    return retryWithBackoff(row);
  }
}

/** `state_forbids`: a token that can't be disabled now can't be disabled a second later either. */
function isPermanent(error: unknown): boolean {
  return isInputFault(error) || errorCodeOf(error) === 'state_forbids';
}

async function buryRow(
  { operations, logger }: RelayBatchOptions,
  row: OutboxRow,
  error: unknown,
): Promise<void> {
  const { queue, job_name: name, job_id: id } = row;
  const code = errorCodeOf(error);
  const paths = error instanceof AppError ? error.paths : [];
  const job = { queue, name, id, attempt: row.tries };
  const deadLetter = await buryJob(operations, job, row.payload, { code, paths });
  logger.error(
    { queue, jobId: id, deadLetter, code, paths },
    'an outbox row ended in dead letters',
  );
}

/**
 * Adds jobs to their queues, one call per queue. Returns the rows whose job could not be added.
 */
async function sendJobs(
  options: RelayBatchOptions,
  sendable: readonly Sendable[],
): Promise<readonly Failed[]> {
  const queues = [...new Set(sendable.map(({ job }) => job.queue))];
  const failed = await Promise.all(
    queues.map(async (queue) => {
      const ofQueue = sendable.filter(({ job }) => job.queue === queue);
      try {
        await addJobs(
          options.backend,
          ofQueue.map(({ job }) => job),
        );
        return [];
      } catch (error) {
        const unsent = await sendOneByOne(options.backend, ofQueue);
        if (unsent.length > 0) {
          options.logger.warn(
            { queue, failed: unsent.length, of: ofQueue.length, error },
            'the relay could not add jobs to their queue; trying again',
          );
        }
        return unsent;
      }
    }),
  );
  return failed.flat();
}

/**
 * Tells a job that the queue refuses from a queue that is unavailable. While the queue does not
 * answer, no row loses an attempt.
 */
async function sendOneByOne(
  backend: QueueBackend,
  sendable: readonly Sendable[],
): Promise<readonly Failed[]> {
  const refused: Sendable[] = [];
  let failuresInARow = 0;
  let tried = 0;
  for (const one of sendable) {
    if (failuresInARow >= failuresInARowMax) break;
    tried += 1;
    try {
      await addJobs(backend, [one.job]);
      failuresInARow = 0;
    } catch {
      failuresInARow += 1;
      refused.push(one);
    }
  }
  if (refused.length === 0) return [];
  const isAnswered = await isAnswering(backend);
  return [
    ...refused.map(({ row }) => (isAnswered ? retryWithBackoff(row) : retryAfterOutage(row))),
    ...sendable.slice(tried).map(({ row }) => retryAfterOutage(row)),
  ];
}

async function isAnswering(backend: QueueBackend): Promise<boolean> {
  return await backend.ping().then(
    () => true,
    () => false,
  );
}

function retryWithBackoff(row: OutboxRow): Failed {
  const delayMs = backoffMs(rowRetry, row.tries, Math.random());
  return { kind: 'failed', row, released: { id: row.id, delayMs, countsAsAttempt: true } };
}

function retryAfterOutage(row: OutboxRow): Failed {
  const released = { id: row.id, delayMs: outageDelayMs, countsAsAttempt: false };
  return { kind: 'failed', row, released };
}
