import { withAdvisoryLock } from '../db/connection/advisory-lock.ts';
import type { Database } from '../db/connection/database.ts';
import { findScanAges } from '../db/scan-runs.ts';
import type { Logger } from '../observability/logger.ts';
import type { RepeatingJob } from '../jobs/registry.ts';
import type { QueueBackend } from './backend.ts';
import { findLateScans, lateScansEveryMs } from './late-scans.ts';

/** Keeps the repeating jobs scheduled. */
export interface Schedulers {
  readonly close: () => Promise<void>;
}

/** What the schedulers need. */
export interface SchedulersOptions {
  readonly backend: QueueBackend;
  readonly db: Database['db'];
  readonly repeating: readonly RepeatingJob[];
  readonly logger: Logger;
}

const watchFloorMs = 1_000;

/**
 * Creates one BullMQ job scheduler per repeating job, and a watchdog, since schedulers have
 * vanished and frozen before. An advisory lock guards the upserts: concurrent ones have lost
 * schedulers.
 */
export async function startSchedulers(options: SchedulersOptions): Promise<Schedulers> {
  const { repeating, logger } = options;
  await withAdvisoryLock(options.db, 'schedulers', async () => await upsertAll(options, repeating));

  const watchedSinceMs = performance.now();
  let watching: Promise<void> = Promise.resolve();
  const timer = setInterval(
    () => {
      watching = watching
        .then(async () => await reviveLate(options, watchedSinceMs))
        .catch((error: unknown) => {
          logger.warn({ error }, 'the watchdog could not read when the scans ran; trying again');
        });
    },
    Math.max(watchFloorMs, lateScansEveryMs(repeating)),
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
      .upsertJobScheduler(job.name, { every: everyMs }, { name: job.name, data: { v: 1 } });
  }
}

/**
 * Removes first: an upsert at the same interval keeps the next run, even one set by a wrong clock.
 */
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
 * Replaces the schedule of each late job and adds the job once. PostgreSQL tells when a job last
 * ran; a schedule that looks right proves nothing.
 */
async function reviveLate(options: SchedulersOptions, watchedSinceMs: number): Promise<void> {
  const ages = await findScanAges(options.db);
  const late = findLateScans(options.repeating, ages, performance.now() - watchedSinceMs);
  if (late.length === 0) return;
  options.logger.error(
    { scans: late.map(({ job }) => job.name), code: 'scan_late' },
    'scans are late; scheduling them again',
  );
  await replaceAll(options, late);
  for (const { job } of late) {
    // The fixed id prevents a second copy while no worker takes the first.
    const jobId = `late-${job.name.replaceAll('.', '-')}`;
    const queue = options.backend.queue(job.queue);
    // A finished copy of an earlier time would keep this one from being added.
    await queue.remove(jobId);
    await queue.add(job.name, { v: 1 }, { jobId });
  }
}
