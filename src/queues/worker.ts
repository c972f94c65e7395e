import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import { isDatabaseOutage } from '../db/faults.ts';
import { type ErrorCode, errorCodeOf } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-names.ts';
import { backoffMs } from '../domain/retry-policy.ts';
import { burialPayload, buryJob } from '../dead-letter/bury.ts';
import type { AnyJob, Outcome, RunningJob } from '../execution/define-job.ts';
import { executeJob } from '../execution/execute-job.ts';
import type { JobDependencies } from '../execution/dependencies.ts';
import { findJob } from '../jobs/registry.ts';
import type { AnyWorker, QueueBackend } from './backend.ts';
import { createHash } from 'node:crypto';

/** Told about every finished run, for metrics. */
export type ObserveRun = (run: {
  readonly queue: QueueName;
  readonly job: string;
  readonly outcome: string;
  readonly durationMs: number;
}) => void;

/** What the workers of a process share. */
export interface WorkerOptions {
  readonly backend: QueueBackend;
  readonly dependencies: JobDependencies;
  readonly concurrency: number;
  readonly observe: ObserveRun;
}

/** One running worker. */
export interface RunningWorker {
  readonly close: () => Promise<void>;
}

/** The same in every worker of a queue, or the largest stalled interval of the fleet wins for all. */
const locks = { lockDuration: 20_000, stalledInterval: 5_000, maxStalledCount: 3 } as const;

/** How long a job waits while PostgreSQL or the queue is away; it loses no attempt. */
const outageDelayMs = 2_000;

/** Starts taking jobs of one queue. Closing waits for the running ones; abort them by their signal first. */
export function startWorker(name: QueueName, options: WorkerOptions): RunningWorker {
  const { backend, dependencies, concurrency } = options;
  const stopping = new AbortController();
  const worker: AnyWorker = backend.createWorker(
    name,
    async (job, _token, signal) =>
      await runDelivery(name, job, AbortSignal.any([stopping.signal, ...some(signal)]), options),
    {
      ...locks,
      concurrency,
      maxStartedAttempts: 10_000,
      settings: { backoffStrategy: (attemptsMade, _, __, job) => delayOf(attemptsMade, job) },
    },
  );
  worker.on('error', (error) => {
    dependencies.logger.warn({ queue: name, error }, 'the queue connection has a fault');
  });
  // A job whose lock is gone may already run elsewhere: stop its network call, the database fences its writes.
  worker.on('lockRenewalFailed', (jobIds: string[]) => {
    for (const jobId of jobIds) worker.cancelJob(jobId, 'lock_lost');
  });
  return {
    async close() {
      const closed = worker.close();
      stopping.abort();
      await closed;
    },
  };
}

async function runDelivery(
  queue: QueueName,
  job: Job,
  signal: AbortSignal,
  { dependencies, observe }: WorkerOptions,
): Promise<{ result: string }> {
  const startedAt = performance.now();
  const definition = findJob(job.name);
  const running: RunningJob = {
    queue,
    name: readableName(job.name),
    id: readableName(job.id ?? ''),
    attempt: job.attemptsMade + 1,
  };
  const report = (outcome: string): void => {
    const durationMs = performance.now() - startedAt;
    // A name that nobody registered is input, and must not make a metric of its own.
    observe({ queue, job: definition?.name ?? 'unknown', outcome, durationMs });
  };
  if (definition === undefined || definition.queue !== queue) {
    const unknown = { code: 'job_unknown', paths: ['name'] } as const;
    return await bury(job, running, unknown, dependencies, report);
  }
  const outcome = await attempt(definition, job, running, signal, dependencies);
  if (outcome.kind === 'fault') {
    return await retryOrBury(definition, job, running, outcome.code, dependencies, report);
  }
  return await settle(outcome, job, running, dependencies, report);
}

type Fault = { readonly kind: 'fault'; readonly code: ErrorCode };

async function attempt(
  definition: AnyJob,
  job: Job,
  running: RunningJob,
  signal: AbortSignal,
  dependencies: JobDependencies,
): Promise<Outcome | Fault> {
  try {
    return await executeJob(
      definition,
      {
        job: running,
        payload: job.data,
        signal,
        replacePayload: async (payload) => await job.updateData(payload),
      },
      dependencies,
    );
  } catch (error) {
    const { queue, name, id, attempt: number } = running;
    if (isDatabaseOutage(error) || errorCodeOf(error) === 'queue_unavailable') {
      dependencies.logger.warn(
        { queue, job: name, jobId: id, error },
        'a job waits for an outage to end',
      );
      return { kind: 'snooze', delayMs: outageDelayMs, result: 'outage' };
    }
    dependencies.logger.error(
      { queue, job: name, jobId: id, attempt: number, error },
      'a job failed',
    );
    return { kind: 'fault', code: errorCodeOf(error) };
  }
}

/** Turns an outcome into BullMQ's words. */
async function settle(
  outcome: Outcome,
  job: Job,
  running: RunningJob,
  dependencies: JobDependencies,
  report: (outcome: string) => void,
): Promise<{ result: string }> {
  switch (outcome.kind) {
    case 'done':
      report('done');
      return { result: outcome.result };
    case 'snooze':
      return await putOff(job, outcome.delayMs, report);
    case 'cancel':
      return await bury(job, running, outcome, dependencies, report);
  }
}

async function retryOrBury(
  definition: AnyJob,
  job: Job,
  running: RunningJob,
  code: ErrorCode,
  dependencies: JobDependencies,
  report: (outcome: string) => void,
): Promise<never> {
  const isLast = running.attempt >= definition.retry.attemptsMax;
  if (isLast && definition.isRepeating === true) {
    report('failed');
    throw coded(new UnrecoverableError(code));
  }
  if (isLast) {
    return await bury(job, running, { code, paths: [] }, dependencies, report);
  }
  // The job's own definition says how often and how fast, whatever options the backend that added it chose.
  job.opts.attempts = definition.retry.attemptsMax;
  job.opts.backoff = { type: 'definition' };
  report('retried');
  throw coded(new Error(code));
}

/** Has the job come back later; `DelayedError` costs no attempt. */
async function putOff(
  job: Job,
  delayMs: number,
  report: (outcome: string) => void,
): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, job.token);
  report('snoozed');
  throw new DelayedError();
}

/** A job that can't be buried, because PostgreSQL or the queue is away, must not end on its queue with its content in the clear. */
async function bury(
  job: Job,
  running: RunningJob,
  burial: { code: ErrorCode; paths: readonly string[] },
  dependencies: JobDependencies,
  report: (outcome: string) => void,
): Promise<never> {
  let deadLetter: string;
  try {
    deadLetter = await buryJob(dependencies, running, job.data, burial);
    // The payload is sealed in the dead letter now; in the queue it could be read by anyone.
    await job.updateData(burialPayload(deadLetter));
  } catch (error) {
    const { queue, name, id } = running;
    dependencies.logger.error(
      { queue, job: name, jobId: id, error },
      'a job could not be put into the dead letters; trying it again',
    );
    return await putOff(job, outageDelayMs, report);
  }
  report('dead');
  const { queue, name, id } = running;
  dependencies.logger.error(
    { queue, job: name, jobId: id, deadLetter, code: burial.code, paths: burial.paths },
    'a job ended in dead letters',
  );
  throw coded(new UnrecoverableError([burial.code, ...burial.paths].join(' ')));
}

/** BullMQ stores the stack beside the message; ours says nothing that the code doesn't. */
function coded<Failure extends Error>(error: Failure): Failure {
  error.stack = error.message;
  return error;
}

function delayOf(attemptsMade: number, job: { name: string } | undefined): number {
  const policy = job === undefined ? undefined : findJob(job.name)?.retry;
  return policy === undefined ? 1_000 : backoffMs(policy, attemptsMade, Math.random());
}

function some(signal: AbortSignal | undefined): AbortSignal[] {
  return signal === undefined ? [] : [signal];
}

const readable = /^[\x20-\x7e]{1,200}$/;

/**
 * A name or id that a backend gave its job, as it may be stored and logged: as it is where it is short and printable, else what is
 * printable of its beginning, and a digest that tells it from others.
 */
export function readableName(name: string): string {
  if (readable.test(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${name.slice(0, 100).replaceAll(/[^\x20-\x7e]/g, '?')}~${digest}`;
}
