import { claimOutbox, followersMax, releaseOutbox } from '../db/outbox.ts';
import type { OutboxRow } from '../db/rows.ts';
import { type RelayBatchOptions, relayBatch } from './relay-batch.ts';

/** Moves committed outbox rows onto their queues. */
export interface Relay {
  /** Wakes the relay: rows may have been committed. */
  readonly nudge: () => void;
  readonly close: () => Promise<void>;
}

/** What the relay needs. Times in milliseconds. */
export interface RelayOptions extends RelayBatchOptions {
  /** The longest wait between two polls while no rows are due and no nudge arrives. */
  readonly pollMaxMs?: number;
  /** How long the rows of a relay that died stay leased. */
  readonly leaseMs?: number;
}

const pollMinMs = 25;
const pollMaxDefaultMs = 250;
const leaseDefaultMs = 5_000;
const rowsMax = 200;
const faultDelayMs = 1_000;

/**
 * Starts the relay. It claims rows, accepts them, adds their jobs and deletes the rows. After a
 * crash in between, the next claim repeats the work, and job ids make the repetition harmless. If a
 * queue loses a job later, a scan enqueues it again.
 *
 * The relay sleeps until a nudge or its next poll. The pause between polls grows up to `pollMaxMs`
 * while no rows are due.
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
      return rows.length >= rowsMax || hasMoreOfOneKey(rows) ? 0 : idleMs;
    } catch (error) {
      logger.warn({ error, rows: rows.length }, 'the outbox could not be relayed; trying again');
      await releaseAll(rows);
      return faultDelayMs;
    }
  }

  async function releaseAll(rows: readonly OutboxRow[]): Promise<void> {
    try {
      await releaseOutbox(
        operations.db,
        workerId,
        rows.map(({ id }) => ({ id, delayMs: faultDelayMs, countsAsAttempt: false })),
      );
    } catch {
      // The leases expire by themselves.
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

/** Whether one key filled its share of the claim, so that more of its rows probably wait. */
function hasMoreOfOneKey(rows: readonly OutboxRow[]): boolean {
  const counts = new Map<string, number>();
  for (const { enqueue_key: key } of rows) {
    if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts.values()].some((count) => count > followersMax);
}
