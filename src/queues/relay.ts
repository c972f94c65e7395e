import type { Db } from '../db/database.ts';
import { claimOutbox, deleteRelayed, releaseOutbox } from '../db/outbox.ts';
import type { OutboxRow } from '../db/rows.ts';
import type { Logger } from '../observability/logger.ts';
import type { QueueBackend } from './backend.ts';
import { addJobs } from './producer.ts';

/** Moves committed outbox rows onto their queues. */
export interface Relay {
  /** Says that rows were just committed by this process, so that they need not wait for the next poll. */
  readonly nudge: () => void;
  readonly close: () => Promise<void>;
}

/** What the relay works with. Times in milliseconds. */
export interface RelayOptions {
  readonly db: Db;
  readonly backend: QueueBackend;
  readonly workerId: string;
  readonly logger: Logger;
  /** The wait when nothing was found and nobody nudged: the floor under every other wake-up. */
  readonly pollMs?: number;
}

const pollDefaultMs = 250;
const leaseMs = 30_000;
const rowsMax = 500;
const faultDelayMs = 1_000;

/**
 * Starts the relay. It claims rows, adds their jobs, then deletes the rows: a crash in between adds a job twice, which its id turns
 * into once. "Relayed" is not "done": the scan puts back whatever the queue loses later.
 */
export function startRelay(options: RelayOptions): Relay {
  const { db, backend, workerId, logger } = options;
  const pollMs = options.pollMs ?? pollDefaultMs;
  let isClosing = false;
  let isNudged = false;
  let wake: (() => void) | undefined;

  const running = (async () => {
    while (!isClosing) {
      isNudged = false;
      const pauseMs = await relayOnce();
      if (pauseMs > 0 && !isNudged && !isClosing) await sleep(pauseMs);
    }
  })();

  async function relayOnce(): Promise<number> {
    let rows: readonly OutboxRow[] = [];
    try {
      rows = await claimOutbox(db, workerId, leaseMs, rowsMax);
      if (rows.length === 0) return pollMs;
      await addJobs(backend, rows.map(asJob));
      await deleteRelayed(
        db,
        workerId,
        rows.map((row) => row.id),
      );
      return rows.length === rowsMax ? 0 : pollMs;
    } catch (error) {
      logger.warn({ error, rows: rows.length }, 'the outbox could not be relayed; trying again');
      await giveBack(rows);
      return faultDelayMs;
    }
  }

  async function giveBack(rows: readonly OutboxRow[]): Promise<void> {
    try {
      await releaseOutbox(
        db,
        workerId,
        rows.map((row) => row.id),
        faultDelayMs,
      );
    } catch {
      // Their lease runs out by itself.
    }
  }

  async function sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    wake = undefined;
  }

  return {
    nudge() {
      isNudged = true;
      wake?.();
    },
    async close() {
      isClosing = true;
      wake?.();
      await running;
    },
  };
}

function asJob(row: OutboxRow) {
  return { queue: row.queue, name: row.job_name, jobId: row.job_id, payload: row.payload };
}
