import { randomUUID } from 'node:crypto';
import { withAdvisoryLock } from '../db/advisory-lock.ts';
import type { Database } from '../db/database.ts';
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

/** A schedule that is this many intervals late has been lost. */
const lateIntervals = 4;
const watchFloorMs = 1_000;

/**
 * Schedules every repeating job, one BullMQ job scheduler each, and watches over them: schedulers have been known to vanish or freeze. Upserts run
 * under an advisory lock, since concurrent ones of several replicas have lost schedulers. A late one is set anew and its
 * job added once by hand.
 */
export async function startSchedulers(options: SchedulersOptions): Promise<Schedulers> {
  const { repeating, logger } = options;
  await upsertAll(options, repeating);

  const shortestMs = Math.min(...repeating.map(({ everyMs }) => everyMs));
  let watching: Promise<void> = Promise.resolve();
  const timer = setInterval(
    () => {
      watching = watching
        .then(async () => await reviveLate(options))
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
  { backend, db }: SchedulersOptions,
  repeating: readonly RepeatingJob[],
): Promise<void> {
  await withAdvisoryLock(db, 'schedulers', async () => {
    for (const { job, everyMs } of repeating) {
      await backend
        .queue(job.queue)
        .upsertJobScheduler(
          job.name,
          { every: everyMs },
          { name: job.name, data: { v: 1 }, opts: { removeOnComplete: 10, removeOnFail: 100 } },
        );
    }
  });
}

async function reviveLate(options: SchedulersOptions): Promise<void> {
  const late: RepeatingJob[] = [];
  for (const entry of options.repeating) {
    if (await isLate(options.backend, entry)) late.push(entry);
  }
  if (late.length === 0) return;
  options.logger.error({ schedules: late.map(({ job }) => job.name) }, 'schedules were late');
  await upsertAll(options, late);
  for (const { job } of late) {
    const jobId = `scan-${randomUUID()}`;
    await options.backend
      .queue(job.queue)
      .add(job.name, { v: 1 }, { jobId, removeOnComplete: true, removeOnFail: 100 });
  }
}

async function isLate(backend: QueueBackend, { job, everyMs }: RepeatingJob): Promise<boolean> {
  const scheduler = await backend.queue(job.queue).getJobScheduler(job.name);
  if (scheduler?.next === undefined) return true;
  return scheduler.next < Date.now() - everyMs * lateIntervals;
}
