import { claimOutbox, followersMax, releaseOutbox } from '../db/outbox.ts';
import type { OutboxRow } from '../db/rows.ts';
import { type RelayBatchOptions, relayBatch } from './relay-batch.ts';

/** Moves committed outbox rows onto their queues. */
export interface Relay {
  /** Says that rows may have been committed, so that they need not wait for the next poll. */
  readonly nudge: () => void;
  readonly close: () => Promise<void>;
}

/** What the relay works with. Times in milliseconds. */
export interface RelayOptions extends RelayBatchOptions {
  /** The longest wait when nothing was found and nobody nudged: the floor under every other wake-up. */
  readonly pollMaxMs?: number;
  /** How long a relay that dies keeps its rows from the others. */
  readonly leaseMs?: number;
}

const pollMinMs = 25;
const pollMaxDefaultMs = 250;
const leaseDefaultMs = 5_000;
const rowsMax = 200;
const faultDelayMs = 1_000;

/**
 * Starts the relay. It claims rows, accepts them, adds their jobs, then deletes the rows: a crash in between does it twice, which the ids
 * turn into once. "Relayed" is not "done": the scan puts back whatever the queue loses later.
 *
 * It sleeps until it is nudged, and looks by itself as well: soon after it found something, ever more rarely up to `pollMaxMs` while
 * it finds nothing.
 */
export function startRelay(options: RelayOptions): Relay {
  const { operations, workerId, logger } = options;
  const pollMaxMs = options.pollMaxMs ?? pollMaxDefaultMs;
  const leaseMs = options.leaseMs ?? leaseDefaultMs;
  let isClosing = false;
  let isNudged = false;
  let idleMs = pollMinMs;
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
      const deadline = performance.now() + leaseMs / 2;
      rows = await claimOutbox(operations.db, workerId, leaseMs, rowsMax);
      if (rows.length === 0) {
        idleMs = Math.min(idleMs * 2, pollMaxMs);
        return idleMs;
      }
      idleMs = pollMinMs;
      const { failed } = await relayBatch(options, rows, deadline);
      if (failed > 0) return pollMaxMs;
      return rows.length >= rowsMax || isKeyWaiting(rows) ? 0 : idleMs;
    } catch (error) {
      logger.warn({ error, rows: rows.length }, 'the outbox could not be relayed; trying again');
      await giveBack(rows);
      return faultDelayMs;
    }
  }

  async function giveBack(rows: readonly OutboxRow[]): Promise<void> {
    try {
      await releaseOutbox(
        operations.db,
        workerId,
        rows.map(({ id }) => ({ id, delayMs: faultDelayMs, countsAsAttempt: false })),
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

/** Whether as many rows of one key came along as may: more of it are waiting, most likely. */
function isKeyWaiting(rows: readonly OutboxRow[]): boolean {
  const counts = new Map<string, number>();
  for (const { enqueue_key: key } of rows) {
    if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts.values()].some((count) => count > followersMax);
}
