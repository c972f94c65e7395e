import type { Db } from '../db/connection/database.ts';
import { findBuriedJobIds } from '../db/dead-letters.ts';
import { AppError } from '../domain/errors.ts';
import { isQueueName, type QueueName } from '../domain/queue-names.ts';
import { findJob } from '../jobs/registry.ts';
import type { AnyQueue, QueueBackend } from './backend.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';

/** Jobs in one bulk call: on Redis a bulk is one pipeline, and a large one blocks other clients. */
const bulkMax = 200;

/**
 * Puts jobs on their queues. A job whose id is already there stays as it is. Throws
 * `queue_unavailable`.
 *
 * BullMQ's bulk add on Redis is a pipeline, not a transaction, and can drop a job without an error.
 * Each returned id is compared with the requested one, and a missing job is added by itself.
 */
export async function addJobs(backend: QueueBackend, jobs: readonly OutboxJob[]): Promise<void> {
  for (const [name, ofQueue] of byQueue(jobs)) {
    for (let start = 0; start < ofQueue.length; start += bulkMax) {
      await addBulk(backend.queue(name), ofQueue.slice(start, start + bulkMax));
    }
  }
}

/**
 * Puts jobs back on their queues. A waiting job stays as it is, a finished one of the same id is
 * replaced, and a job with a dead letter is left to the operator.
 */
export async function restoreJobs(
  backend: QueueBackend,
  db: Db,
  jobs: readonly OutboxJob[],
): Promise<void> {
  const buried = await findBuriedJobIds(
    db,
    jobs.map(({ jobId }) => jobId),
  );
  const wanted = jobs.filter(({ jobId }) => !buried.has(jobId));
  await Promise.all(
    wanted.map(async ({ queue, jobId }) => {
      if (isQueueName(queue)) await removeFinished(backend.queue(queue), jobId);
    }),
  );
  await addJobs(backend, wanted);
}

async function removeFinished(queue: AnyQueue, jobId: string): Promise<void> {
  const job = await queue.getJob(jobId);
  if (job?.finishedOn !== undefined) await job.remove();
}

async function addBulk(queue: AnyQueue, jobs: readonly OutboxJob[]): Promise<void> {
  try {
    const added = await queue.addBulk(jobs.map(asBulkJob));
    for (const [index, job] of jobs.entries()) {
      if (added[index]?.id !== job.jobId) await addOne(queue, job);
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('queue_unavailable', 'The queue did not accept the jobs.', { cause });
  }
}

async function addOne(queue: AnyQueue, job: OutboxJob): Promise<void> {
  const added = await queue.add(job.name, job.payload, asBulkJob(job).opts);
  if (added.id !== job.jobId) {
    throw new AppError(
      'queue_unavailable',
      'The queue returned another job id than the requested one.',
    );
  }
}

function asBulkJob({ name, payload, jobId, delayMs }: OutboxJob) {
  const priority = findJob(name)?.priority;
  return {
    name,
    data: payload,
    opts: {
      jobId,
      ...(delayMs !== undefined && delayMs > 0 && { delay: delayMs }),
      ...(priority !== undefined && { priority }),
    },
  };
}

function byQueue(jobs: readonly OutboxJob[]): ReadonlyMap<QueueName, OutboxJob[]> {
  const groups = new Map<QueueName, OutboxJob[]>();
  for (const job of jobs) {
    if (!isQueueName(job.queue)) {
      throw new AppError('job_unknown', 'A job names a queue that does not exist.', {
        paths: ['queue'],
      });
    }
    groups.set(job.queue, [...(groups.get(job.queue) ?? []), job]);
  }
  return groups;
}
