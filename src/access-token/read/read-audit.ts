import { setTimeout } from 'node:timers/promises';
import { findAccessTokenById } from '../../db/access-tokens.ts';
import { databaseIsAway } from '../../db/faults.ts';
import type { Actor } from '../../domain/audit-entry.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import { withTimeout } from '../../db/with-timeout.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';

/** So many reads of one generation by one backend. */
export interface HandOut {
  /** The row in `access_token`. */
  readonly rowId: string;
  readonly generation: number;
  readonly actor: Actor;
  readonly reads: number;
}

/** Writes down who got which access token. */
export interface HandOutLog {
  /** Counts one hand-out; never waits. */
  readonly count: (rowId: string, generation: number, actor: Actor) => void;
  /** Writes down all that is counted, in seconds at most, and says what could not be. */
  readonly close: () => Promise<void>;
}

/** What the log works with. */
export interface HandOutLogOptions extends Pick<OperationDependencies, 'db' | 'door'> {
  /**
   * Told of hand-outs that are not in the audit trail. Those that are tried again, a minute later, are told of once in that
   * minute; those that are lost, at the end of the process, all together. What it throws is dropped.
   */
  readonly onUnwritten?: (handOuts: readonly HandOut[], error: unknown, isLost: boolean) => void;
  /** Pairs of token and backend that are remembered, default 50,000; what any further one reads is written down within the minute, never at once. */
  readonly firstsMax?: number;
  /** Waits so many milliseconds; by default on the clock. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

const everyMs = 60_000;
const firstsMaxDefault = 50_000;
/** Tokens whose hand-outs are written side by side: so many that the door has something to gather for one statement. */
const lanesMax = 100;
const closeMsMax = 5_000;
/** The pause after somebody else has changed the row at the same moment: doubled each time, and somewhat less of it. */
const pauseMsMin = 5;
const pauseMsMax = 100;

/**
 * Audits hand-outs without slowing them: the first one of a generation to a backend is written down right away but behind the reader's
 * back, further ones are counted and written down once a minute, one audit row per token, generation and backend.
 * Where there are more pairs of token and backend than can be remembered, the first ones of the rest are counted too. What can't be
 * written is tried again for as long as the process lives. A process that is killed loses what it had not written yet: the
 * first hand-outs of its last moments, and the counts of its last minute.
 */
export function createHandOutLog({
  db,
  door,
  onUnwritten = () => undefined,
  firstsMax = firstsMaxDefault,
  pause = setTimeout,
}: HandOutLogOptions): HandOutLog {
  const counts = new Map<string, HandOut>();
  /** The latest generation that was written at once, by token and backend. */
  const firsts = new Map<string, number>();
  const lanes = openLanes(writeOrKeep);
  let isToldOf = false;
  let lastError: unknown;
  const timer = setInterval(() => {
    isToldOf = false;
    writeAll();
  }, everyMs);
  timer.unref();

  function writeAll(): void {
    const due = [...counts.values()];
    counts.clear();
    for (const handOut of due) lanes.add(handOut);
  }

  async function writeOrKeep(handOut: HandOut): Promise<void> {
    try {
      await write(handOut, { db, door, pause });
    } catch (error) {
      lastError = error;
      addTo(counts, handOut);
      if (!isToldOf) tell([handOut], error, false);
      isToldOf = true;
    }
  }

  function tell(...unwritten: Parameters<typeof onUnwritten>): void {
    try {
      onUnwritten(...unwritten);
    } catch {
      // A backend's own code: its fault is no reason to stop writing, or to leave the rest of a process open that closes.
    }
  }

  /** Nobody is forgotten for somebody else: where all are read in turn, each read would be a first one then. */
  function isFirst(handOut: HandOut): boolean {
    const latest = firsts.get(readerOf(handOut));
    return latest === undefined ? firsts.size < firstsMax : handOut.generation > latest;
  }

  return {
    count(rowId, generation, actor) {
      const one: HandOut = { rowId, generation, actor, reads: 1 };
      if (!isFirst(one)) {
        addTo(counts, one);
        return;
      }
      firsts.set(readerOf(one), generation);
      lanes.add(one);
    },
    async close() {
      clearInterval(timer);
      isToldOf = true;
      writeAll();
      await withTimeout(lanes.untilEmpty(), closeMsMax, databaseIsAway).catch((error: unknown) => {
        lastError = error;
      });
      const lost = [...lanes.unwritten(), ...counts.values()];
      if (lost.length > 0) tell(lost, lastError, true);
    },
  };
}

/** Hand-outs by who got what. */
type HandOuts = Map<string, HandOut>;

function addTo(handOuts: HandOuts, handOut: HandOut): void {
  const key = keyOf(handOut);
  const reads = handOut.reads + (handOuts.get(key)?.reads ?? 0);
  handOuts.set(key, { ...handOut, reads });
}

/**
 * Runs `work`, which never throws, on all that is added: for one token one after the other, since each is a version of the same row, and for many
 * tokens side by side. What waits already and says the same is added up, so that no more waits than there are tokens and backends.
 */
function openLanes(work: (handOut: HandOut) => Promise<void>): {
  readonly add: (handOut: HandOut) => void;
  readonly unwritten: () => readonly HandOut[];
  readonly untilEmpty: () => Promise<void>;
} {
  const waiting = new Map<string, HandOuts>();
  const lanes = new Map<string, Promise<void>>();
  const inHand = new Set<HandOut>();

  function open(): void {
    for (const [rowId, ofRow] of waiting) {
      if (lanes.size >= lanesMax) return;
      if (!lanes.has(rowId)) lanes.set(rowId, run(rowId, ofRow));
    }
  }

  async function run(rowId: string, ofRow: HandOuts): Promise<void> {
    try {
      for (const [key, handOut] of ofRow) {
        ofRow.delete(key);
        inHand.add(handOut);
        await work(handOut).finally(() => inHand.delete(handOut));
      }
    } finally {
      if (ofRow.size === 0) waiting.delete(rowId);
      lanes.delete(rowId);
      open();
    }
  }

  return {
    add(handOut) {
      const ofRow = waiting.get(handOut.rowId) ?? new Map<string, HandOut>();
      waiting.set(handOut.rowId, ofRow);
      addTo(ofRow, handOut);
      open();
    },
    unwritten: () => [...inHand, ...[...waiting.values()].flatMap((ofRow) => [...ofRow.values()])],
    async untilEmpty() {
      while (lanes.size > 0) await Promise.all(lanes.values());
    },
  };
}

/** A hand-out can wait, whoever else is at the row can not: a renewal's commit, above all. So it steps back each time that it meets somebody. */
async function write(
  { rowId, generation, actor, reads }: HandOut,
  { db, door, pause }: Required<Pick<HandOutLogOptions, 'db' | 'door' | 'pause'>>,
): Promise<void> {
  let pauseMs = pauseMsMin;
  await retryOnStaleVersion(async () => {
    const row = await findAccessTokenById(db, rowId);
    if (row === undefined) return 'row_gone';
    const outcome = await door.apply({
      entity: 'access_token',
      row,
      event: 'access_token.handed_out',
      audit: { actor, detail: { generation, reads } },
    });
    if (outcome.isApplied) return 'written';
    await pause(pauseMs * (0.5 + Math.random() / 2));
    pauseMs = Math.min(2 * pauseMs, pauseMsMax);
    return undefined;
  });
}

function keyOf(handOut: HandOut): string {
  return `${handOut.generation} ${readerOf(handOut)}`;
}

function readerOf({ rowId, actor }: HandOut): string {
  return `${rowId} ${actor.type} ${actor.id}`;
}
