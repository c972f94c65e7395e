import { isDatabaseOutage } from '../db/faults.ts';
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

/** What a batch is relayed with. */
export interface RelayBatchOptions {
  readonly operations: OperationDependencies;
  readonly backend: QueueBackend;
  readonly workerId: string;
  readonly logger: Logger;
}

/** What a row is tried again with, when the fault may be its own; after the last try it goes to the dead letters. */
const ownFault = exponential({ attemptsMax: 10, baseMs: 1_000, capMs: 60_000 });
const outageDelayMs = 1_000;
/** So many failures in a row, one by one, and the rest is left for the next time. */
const missesMax = 3;

type Entry = { readonly row: OutboxRow; readonly job: OutboxJob };
type Verdict =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly isSealed: boolean }
  | { readonly kind: 'gone'; readonly row: OutboxRow }
  | { readonly kind: 'failed'; readonly row: OutboxRow; readonly released: ReleasedRow };

/**
 * Relays claimed rows: accepts each, puts the jobs onto their queues, and lets go of every row, deleted or released. One row never
 * fails another, but it does hold up the later rows of its key.
 *
 * Rows of one key go in waves, one of each key at a time, and a wave is through before the next one starts. At `deadline`, an
 * instant of `performance.now()`, what is left is given back, since the lease of the claim is running out.
 * Throws what the database throws when it is away; the leases then run out by themselves.
 */
export async function relayBatch(
  options: RelayBatchOptions,
  rows: readonly OutboxRow[],
  deadline: number,
): Promise<{ readonly failed: number }> {
  const held = new Map<string, ReleasedRow>();
  let failed = 0;
  for (const wave of wavesOf(rows)) {
    const isLate = performance.now() > deadline;
    const free = wave.filter(({ enqueue_key: key }) => !isLate && (key === null || !held.has(key)));
    const kept = wave.filter((row) => !free.includes(row));
    const misses = await relayWave(options, free);
    for (const { row, released } of misses) {
      if (row.enqueue_key !== null) held.set(row.enqueue_key, released);
    }
    failed += misses.length;
    await releaseOutbox(options.operations.db, options.workerId, [
      ...misses.map(({ released }) => released),
      ...kept.map(({ id, enqueue_key: key }) => ({
        id,
        delayMs: held.get(key ?? '')?.delayMs ?? 0,
        countsAsAttempt: false,
      })),
    ]);
  }
  return { failed };
}

/** The first row of each key and all rows without one, then the second of each key, and so on. */
function wavesOf(rows: readonly OutboxRow[]): readonly (readonly OutboxRow[])[] {
  const waves: OutboxRow[][] = [];
  const depths = new Map<string, number>();
  for (const row of rows) {
    const key = row.enqueue_key;
    const depth = key === null ? 0 : (depths.get(key) ?? 0);
    if (key !== null) depths.set(key, depth + 1);
    (waves[depth] ??= []).push(row);
  }
  return waves;
}

type Failed = Extract<Verdict, { kind: 'failed' }>;

async function relayWave(
  options: RelayBatchOptions,
  rows: readonly OutboxRow[],
): Promise<readonly Failed[]> {
  const { operations, workerId } = options;
  const verdicts = await allOf(rows.map(async (row) => await accept(options, row)));
  const accepted = verdicts.filter((verdict) => verdict.kind === 'entry');
  // Content leaves the outbox before the queue is asked: a queue that is away must not keep it here.
  await stripOutbox(
    operations.db,
    workerId,
    accepted
      .filter(({ isSealed }) => isSealed)
      .map(({ entry: { row, job } }) => ({ id: row.id, jobId: job.jobId, payload: job.payload })),
  );
  const misses = await send(
    options,
    accepted.map(({ entry }) => entry),
  );
  const failed = [...verdicts.filter((verdict) => verdict.kind === 'failed'), ...misses];
  const failedRows = new Set(failed.map(({ row }) => row.id));
  const through = rows.filter(({ id }) => !failedRows.has(id)).map(({ id }) => id);
  await deleteRelayed(operations.db, workerId, through);
  return failed;
}

/** Like `Promise.all`, but nothing of the batch is still under way when it throws. */
async function allOf<Value>(work: readonly Promise<Value>[]): Promise<readonly Value[]> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}

async function accept(options: RelayBatchOptions, row: OutboxRow): Promise<Verdict> {
  try {
    const accepted = await acceptOutboxRow(options.operations, row);
    if (accepted.kind === 'settled') return { kind: 'gone', row };
    const isSealed = accepted.kind === 'sealed';
    return { kind: 'entry', entry: { row, job: accepted.job }, isSealed };
  } catch (error) {
    if (isDatabaseOutage(error)) throw error;
    if (isPermanent(error) || row.tries >= ownFault.attemptsMax) {
      return await bury(options, row, error);
    }
    options.logger.error(
      { row: row.id, job: row.job_name, tries: row.tries, error },
      'an outbox row could not be accepted; trying it again',
    );
    return failedBy(row);
  }
}

/** A token that is not there to be disabled will not be there a second later; its job would be buried for the same reason. */
function isPermanent(error: unknown): boolean {
  return isInputFault(error) || errorCodeOf(error) === 'state_forbids';
}

async function bury(
  { operations, logger }: RelayBatchOptions,
  row: OutboxRow,
  error: unknown,
): Promise<Verdict> {
  const { queue, job_name: name, job_id: id } = row;
  const code = errorCodeOf(error);
  const paths = error instanceof AppError ? error.paths : [];
  const job = { queue, name, id, attempt: row.tries };
  const deadLetter = await buryJob(operations, job, row.payload, { code, paths });
  logger.error(
    { queue, jobId: id, deadLetter, code, paths },
    'an outbox row ended in dead letters',
  );
  return { kind: 'gone', row };
}

/** Puts jobs onto their queues, each queue by itself, and resolves to the rows that did not get there. */
async function send(
  options: RelayBatchOptions,
  entries: readonly Entry[],
): Promise<readonly Failed[]> {
  const queues = [...new Set(entries.map(({ job }) => job.queue))];
  const misses = await Promise.all(
    queues.map(async (queue) => {
      const ofQueue = entries.filter(({ job }) => job.queue === queue);
      try {
        await addJobs(
          options.backend,
          ofQueue.map(({ job }) => job),
        );
        return [];
      } catch (error) {
        return await sendOneByOne(options, queue, ofQueue, error);
      }
    }),
  );
  return misses.flat();
}

/**
 * Finds out whether a job is at fault or the queue is away. While the queue does not answer no row pays for it; otherwise
 * the ones that do not get through are tried again ever more rarely, and stay in the outbox.
 */
async function sendOneByOne(
  { backend, logger }: RelayBatchOptions,
  queue: string,
  entries: readonly Entry[],
  cause: unknown,
): Promise<readonly Failed[]> {
  const missed: Entry[] = [];
  let missesInARow = 0;
  let tried = 0;
  for (const entry of entries) {
    if (missesInARow >= missesMax) break;
    tried += 1;
    try {
      await addJobs(backend, [entry.job]);
      missesInARow = 0;
    } catch {
      missesInARow += 1;
      missed.push(entry);
    }
  }
  const untried = entries.slice(tried);
  if (missed.length === 0) return [];
  logger.warn(
    { queue, missed: missed.length + untried.length, of: entries.length, error: cause },
    'jobs did not get onto their queue; trying them again',
  );
  const isAnswered = await isAnswering(backend);
  return [
    ...missed.map(({ row }) => (isAnswered ? failedBy(row) : heldUp(row))),
    ...untried.map(({ row }) => heldUp(row)),
  ];
}

/** Not the row's own fault. */
function heldUp(row: OutboxRow): Failed {
  const released = { id: row.id, delayMs: outageDelayMs, countsAsAttempt: false };
  return { kind: 'failed', row, released };
}

async function isAnswering(backend: QueueBackend): Promise<boolean> {
  return await backend.ping().then(
    () => true,
    () => false,
  );
}

function failedBy(row: OutboxRow): Failed {
  const delayMs = backoffMs(ownFault, row.tries, Math.random());
  return { kind: 'failed', row, released: { id: row.id, delayMs, countsAsAttempt: true } };
}
