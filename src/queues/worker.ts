import { createHash } from 'node:crypto';
import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import { isDatabaseOutage } from '../db/connection/faults.ts';
import { type ErrorCode, errorCodeOf } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-names.ts';
import { backoffMs } from '../domain/retry-policy.ts';
import { burialPayload, buryJob } from '../dead-letter/bury.ts';
import type { AnyJob, Outcome, RunningJob } from '../execution/define-job.ts';
import { executeJob } from '../execution/execute-job.ts';
import type { JobDependencies } from '../execution/dependencies.ts';
import { findJob } from '../jobs/registry.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type AnyWorker, finishedJobs, type QueueBackend } from './backend.ts';

/** What the workers of a process share. */
export interface WorkerOptions {
  readonly backend: QueueBackend;
  readonly dependencies: JobDependencies;
  readonly concurrency: number;
  readonly observe: Metrics['observeJob'];
}

/** One running worker. */
export interface RunningWorker {
  /**
   * Drains: takes no new job and lets the running ones finish. Aborts the calls of those that still
   * run after `abortAfterMs`, so that they can store their outcome as unknown.
   */
  readonly close: (abortAfterMs: number) => Promise<void>;
}

/**
 * The same in every worker of a queue: the largest stalled interval of all its workers applies. A
 * job may start any number of times, since it may have to wait for the end of a long outage. BullMQ
 * would end one that stalls too often without a dead letter, so `execute` ends it.
 */
const locks = {
  lockDuration: 20_000,
  stalledInterval: 5_000,
  maxStalledCount: 1_000_000,
  maxStartedAttempts: 0,
} as const;

/** A job whose worker died this often while it ran may itself be the cause. */
const stalledMax = 3;

/** How long a job waits while PostgreSQL or the queue is unavailable; it loses no attempt. */
const outageDelayMs = 2_000;

const neverAborted = new AbortController().signal;

/** How long a worker takes no job after an error of its queue. */
const pauseMs = 1_000;

/** Starts to take jobs of one queue. */
export function startWorker(name: QueueName, options: WorkerOptions): RunningWorker {
  const { backend, dependencies, concurrency } = options;
  let isAborting = false;
  const worker: AnyWorker = backend.createWorker(
    name,
    // BullMQ passes a signal only to a processor that has three parameters.
    async (job, _token, signal) => {
      return await runDelivery({
        definition: findJob(job.name),
        job,
        running: {
          queue: name,
          name: readableName(job.name),
          id: readableName(job.id ?? ''),
          attempt: job.attemptsMade + 1,
        },
        startedAt: performance.now(),
        signal: isAborting ? AbortSignal.abort('stopping') : (signal ?? neverAborted),
        options,
      });
    },
    {
      ...locks,
      concurrency,
      runRetryDelay: outageDelayMs,
      settings: { backoffStrategy: (attemptsMade, _, __, job) => delayOf(attemptsMade, job) },
    },
  );
  const rest = pauseAfterErrors(worker);
  worker.on('error', (error) => {
    dependencies.logger.warn({ queue: name, error }, 'a queue connection failed');
  });
  // A job without its lock may already run elsewhere: stop its calls; the database fences its
  // writes.
  worker.on('lockRenewalFailed', (jobIds: string[]) => {
    for (const jobId of jobIds) worker.cancelJob(jobId, 'lock_lost');
  });
  return {
    async close(abortAfterMs) {
      rest.end();
      const timer = setTimeout(() => {
        isAborting = true;
        worker.cancelAllJobs('stopping');
      }, abortAfterMs);
      try {
        await worker.close();
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/**
 * Pauses a worker for a moment after each error. BullMQ fetches the next job at once after a
 * command that the backend refused, so a full or demoted Redis would get thousands of commands a
 * second.
 */
function pauseAfterErrors(worker: AnyWorker): { readonly end: () => void } {
  let isEnded = false;
  let timer: NodeJS.Timeout | undefined;
  worker.on('error', () => {
    if (isEnded || timer !== undefined) return;
    void worker.pause(true);
    timer = setTimeout(() => {
      timer = undefined;
      void worker.resume();
    }, pauseMs);
  });
  return {
    end() {
      isEnded = true;
      clearTimeout(timer);
    },
  };
}

/** One delivery of a job: what every step of its run reads. */
interface Run {
  /** Undefined for a name that no job of the registry has. */
  readonly definition: AnyJob | undefined;
  readonly job: Job;
  readonly running: RunningJob;
  readonly startedAt: number;
  readonly signal: AbortSignal;
  readonly options: WorkerOptions;
}

/** How a run ended. The kinds are the outcomes of the metric. */
type Ending =
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'snoozed'; readonly delayMs: number }
  | { readonly kind: 'retried'; readonly code: ErrorCode; readonly attemptsMax: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode }
  | { readonly kind: 'dead'; readonly code: ErrorCode; readonly paths: readonly string[] };

async function runDelivery(run: Run): Promise<{ result: string }> {
  const ending = await buryDead(run, await execute(run));
  await scheduleNext(run, ending);
  report(run, ending);
  return answerQueue(ending);
}

async function execute(run: Run): Promise<Ending> {
  const { definition, job, running, signal, options } = run;
  if (definition === undefined || definition.queue !== running.queue) {
    return { kind: 'dead', code: 'job_unknown', paths: ['name'] };
  }
  if (job.stalledCounter > stalledMax) return { kind: 'dead', code: 'job_stalled', paths: [] };
  const replacePayload = async (payload: object): Promise<void> => await job.updateData(payload);
  const delivery = { job: running, payload: job.data, signal, replacePayload };
  try {
    return endingOf(await executeJob(definition, delivery, options.dependencies));
  } catch (error) {
    return endingOfFault(run, definition, error);
  }
}

function endingOf(outcome: Outcome): Ending {
  switch (outcome.kind) {
    case 'done':
      return outcome;
    case 'snooze':
      return { kind: 'snoozed', delayMs: outcome.delayMs };
    case 'cancel':
      return { kind: 'dead', code: outcome.code, paths: outcome.paths };
  }
}

function endingOfFault(run: Run, definition: AnyJob, error: unknown): Ending {
  const { logger } = run.options.dependencies;
  const { attempt } = run.running;
  const code = errorCodeOf(error);
  if (isDatabaseOutage(error) || code === 'queue_unavailable') {
    logger.warn({ ...logFieldsOf(run), error }, 'a job waits for an outage to end');
    return { kind: 'snoozed', delayMs: outageDelayMs };
  }
  logger.error({ ...logFieldsOf(run), attempt, error }, 'a job failed');
  const { attemptsMax } = definition.retry;
  if (attempt < attemptsMax) return { kind: 'retried', code, attemptsMax };
  return definition.isRepeating === true
    ? { kind: 'failed', code }
    : { kind: 'dead', code, paths: [] };
}

/**
 * Stores a dead job as a dead letter. While that is impossible, the job waits on its queue with its
 * payload.
 */
async function buryDead(run: Run, ending: Ending): Promise<Ending> {
  if (ending.kind !== 'dead') return ending;
  const { job, running, options } = run;
  const { logger } = options.dependencies;
  const { code, paths } = ending;
  try {
    const deadLetter = await buryJob(options.dependencies, running, job.data, { code, paths });
    // The dead letter holds the payload sealed; on the queue it would stay readable.
    await job.updateData(burialPayload(deadLetter));
    logger.error({ ...logFieldsOf(run), deadLetter, code, paths }, 'a job ended in dead letters');
    return ending;
  } catch (error) {
    logger.error(
      { ...logFieldsOf(run), error },
      'a job could not be put into the dead letters; trying it again',
    );
    return { kind: 'snoozed', delayMs: outageDelayMs };
  }
}

/** The worker decides how a job goes on and how long it stays, whatever its producer chose. */
async function scheduleNext({ job }: Run, ending: Ending): Promise<void> {
  Object.assign(job.opts, finishedJobs);
  if (ending.kind === 'snoozed') {
    await job.moveToDelayed(Date.now() + ending.delayMs, job.token);
  } else if (ending.kind === 'retried') {
    job.opts.attempts = ending.attemptsMax;
    job.opts.backoff = { type: 'definition' };
  }
}

function report({ definition, running, startedAt, options }: Run, ending: Ending): void {
  options.observe({
    queue: running.queue,
    // A backend chooses an unregistered name, so it must not become a metric label.
    job: definition?.name ?? 'unknown',
    outcome: ending.kind,
    durationMs: performance.now() - startedAt,
  });
}

/** Returns or throws what BullMQ expects of an ending; a `DelayedError` costs no attempt. */
function answerQueue(ending: Ending): { result: string } {
  switch (ending.kind) {
    case 'done':
      return { result: ending.result };
    case 'snoozed':
      throw new DelayedError();
    case 'retried':
      throw coded(new Error(ending.code));
    case 'failed':
      throw coded(new UnrecoverableError(ending.code));
    case 'dead':
      throw coded(new UnrecoverableError([ending.code, ...ending.paths].join(' ')));
  }
}

function logFieldsOf({ running: { queue, name, id } }: Run) {
  return { queue, job: name, jobId: id };
}

/** BullMQ stores the stack beside the message; this one holds the code and nothing else. */
function coded<Failure extends Error>(error: Failure): Failure {
  error.stack = error.message;
  return error;
}

function delayOf(attemptsMade: number, job: { name: string } | undefined): number {
  const policy = job === undefined ? undefined : findJob(job.name)?.retry;
  return policy === undefined ? 1_000 : backoffMs(policy, attemptsMade, Math.random());
}

const readable = /^[\x20-\x7e]{1,200}$/;

/**
 * The form in which a job's name or id is stored and logged: unchanged where it is short and
 * printable, else its printable beginning and a digest.
 */
export function readableName(name: string): string {
  if (readable.test(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${name.slice(0, 100).replaceAll(/[^\x20-\x7e]/g, '?')}~${digest}`;
}
