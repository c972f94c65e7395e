import { withAdvisoryLock } from '../db/advisory-lock.ts';
import type { Database } from '../db/database.ts';
import { findScanAges } from '../db/scan-runs.ts';
import type { Logger } from '../observability/logger.ts';
import type { RepeatingJob } from '../jobs/registry.ts';
import type { QueueBackend } from './backend.ts';

/** Keeps the repeating jobs alive. */
export interface Schedulers {
  readonly close: () => Promise<void>;
}

/** What the schedulers work with. */
export interface SchedulersOptions {
  readonly backend: QueueBackend;
  readonly db: Database['db'];
  readonly repeating: readonly RepeatingJob[];
  readonly logger: Logger;
}

/** A scan that is this many intervals late is an alarm. */
const lateIntervals = 4;
const watchFloorMs = 1_000;

/**
 * Schedules every repeating job, one BullMQ job scheduler each, and watches over them: schedulers have been known to vanish or freeze. Upserts run
 * under an advisory lock, since concurrent ones of several replicas have lost schedulers.
 */
export async function startSchedulers(options: SchedulersOptions): Promise<Schedulers> {
  const { repeating, logger } = options;
  await withAdvisoryLock(options.db, 'schedulers', async () => await upsertAll(options, repeating));

  const watchedSinceMs = performance.now();
  const shortestMs = Math.min(...repeating.map(({ everyMs }) => everyMs));
  let watching: Promise<void> = Promise.resolve();
  const timer = setInterval(
    () => {
      watching = watching
        .then(async () => await reviveLate(options, watchedSinceMs))
        .catch((error: unknown) => {
          logger.warn({ error }, 'the schedules could not be watched; trying again');
        });
    },
    Math.max(watchFloorMs, shortestMs * lateIntervals),
  );
  return {
    async close() {
      clearInterval(timer);
      await watching;
    },
  };
}

async function upsertAll(
  { backend }: SchedulersOptions,
  repeating: readonly RepeatingJob[],
): Promise<void> {
  for (const { job, everyMs } of repeating) {
    await backend
      .queue(job.queue)
      .upsertJobScheduler(
        job.name,
        { every: everyMs },
        { name: job.name, data: { v: 1 }, opts: { removeOnComplete: 10, removeOnFail: 100 } },
      );
  }
}

/** An upsert at the same interval keeps the instant of the next run, however far off a clock that was wrong has put it. */
async function replaceAll(
  options: SchedulersOptions,
  late: readonly RepeatingJob[],
): Promise<void> {
  await withAdvisoryLock(options.db, 'schedulers', async () => {
    for (const { job } of late) await options.backend.queue(job.queue).removeJobScheduler(job.name);
    await upsertAll(options, late);
  });
}

/**
 * Judges each repeating job by when it last ran, which Postgres knows, and not by its schedule: a schedule that looks well proves
 * nothing. A late one is scheduled anew and its job added once by hand.
 */
async function reviveLate(options: SchedulersOptions, watchedSinceMs: number): Promise<void> {
  const ages = await findScanAges(options.db);
  const watchedForMs = performance.now() - watchedSinceMs;
  const late = options.repeating.filter(({ job, everyMs }) => {
    const ageMs = Math.min(ages.get(job.name) ?? Infinity, watchedForMs);
    return ageMs > everyMs * lateIntervals;
  });
  if (late.length === 0) return;
  options.logger.error(
    { scans: late.map(({ job }) => job.name), code: 'scan_late' },
    'scans are late; they are scheduled anew',
  );
  await replaceAll(options, late);
  for (const { job } of late) {
    // One id, so that a job which nobody takes is not added again and again.
    const jobId = `late-${job.name.replaceAll('.', '-')}`;
    await options.backend
      .queue(job.queue)
      .add(job.name, { v: 1 }, { jobId, removeOnComplete: true, removeOnFail: true });
  }
}
