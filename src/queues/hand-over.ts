import type { JobHandOver } from '../db/commit-batch.ts';
import type { Db } from '../db/connection/database.ts';
import { insertOutboxJobs } from '../db/outbox.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';
import type { Logger } from '../observability/logger.ts';
import type { QueueBackend } from './backend.ts';
import { addJobs } from './producer.ts';

/** A hand-over that can be closed. */
export interface ClosableHandOver extends JobHandOver {
  /** Waits until each job that was taken is on its queue or in the outbox. */
  readonly close: () => Promise<void>;
}

/** What the hand-over needs. */
export interface HandOverOptions {
  readonly backend: QueueBackend;
  readonly db: Db;
  readonly logger: Logger;
  /** Called after rows were written into the outbox. */
  readonly onJobsWritten: () => void;
}

/** The most jobs that wait here; the changes of further ones write outbox rows. */
const waitingMax = 10_000;
const batchMax = 1_000;

/**
 * Puts the jobs of committed changes straight onto their queues. Such a job only points to a row
 * that says when it is due, so it needs no row of its own: if a process dies between the commit and
 * the queue, the scan enqueues the job again once the row is due, within seconds. While the queue
 * is unavailable, the jobs go into the outbox.
 *
 * Jobs that no scan would find keep their outbox row: those of access tokens, and redriven dead
 * letters, whose payload may hold content. So do postponed jobs.
 */
export function createHandOver(options: HandOverOptions): ClosableHandOver {
  const { backend, db, logger, onJobsWritten } = options;
  const waiting: OutboxJob[] = [];
  let sending: Promise<void> | undefined;

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) {
      const queues = Map.groupBy(waiting.splice(0, batchMax), ({ queue }) => queue);
      await Promise.all([...queues.values()].map(addOrStore));
    }
    sending = undefined;
  }

  async function addOrStore(jobs: readonly OutboxJob[]): Promise<void> {
    try {
      await addJobs(backend, jobs);
    } catch (error) {
      logger.warn({ error, jobs: jobs.length }, 'jobs wait in the outbox for their queue');
      await writeOutbox(jobs);
    }
  }

  async function writeOutbox(jobs: readonly OutboxJob[]): Promise<void> {
    try {
      await insertOutboxJobs(db, jobs);
      onJobsWritten();
    } catch (error) {
      logger.warn(
        { error, jobs: jobs.length },
        'jobs reached neither their queue nor the outbox; the scan enqueues them when they are due',
      );
    }
  }

  return {
    takes: ({ isFoundByScan = false, delayMs = 0 }) =>
      isFoundByScan && delayMs === 0 && waiting.length < waitingMax,
    take(jobs) {
      waiting.push(...jobs);
      sending ??= sendAll();
    },
    async close() {
      await sending;
    },
  };
}
