import { type ReadAuditEntry, insertAccessTokenReads } from '../../db/access-token-reads.ts';
import type { Db } from '../../db/database.ts';
import { databaseIsAway } from '../../db/faults.ts';
import { withTimeout } from '../../db/with-timeout.ts';
import type { Actor } from '../../domain/audit-entry.ts';

/** One read: who got which generation of which token. */
export interface AuditedRead {
  /** The row in `access_token`. */
  readonly accessTokenId: string;
  readonly credential: string;
  readonly generation: number;
  readonly actor: Actor;
}

/** Reads by one backend of one generation that are not in the audit. */
export interface UnrecordedReads extends AuditedRead {
  readonly reads: number;
}

/** Records who read which access token. */
export interface AccessTokenReadAudit {
  /** Counts one read; never waits and never throws. */
  readonly record: (read: AuditedRead) => void;
  /** Writes what is counted, in seconds at most, and reports what it could not write. */
  readonly close: () => Promise<void>;
}

/** What the audit works with. */
export interface AccessTokenReadAuditOptions {
  readonly db: Db;
  /**
   * Told of reads that could not be written: once per outage when they are kept and tried again,
   * and with `isLost` when they never will be written. What it throws is dropped.
   */
  readonly onUnrecorded?: (
    unrecorded: readonly UnrecordedReads[],
    error: unknown,
    isLost: boolean,
  ) => void;
  /**
   * How many rows may wait to be written, default 50,000. More are given up, so that an outage
   * takes no more memory.
   */
  readonly rowsMax?: number;
}

const flushIntervalMs = 1_000;
const closeTimeoutMs = 5_000;
const rowsMaxDefault = 50_000;

/** Reads that wait to be written, by `keyOf`. Times on the clock of `performance.now()`. */
type Counts = Map<string, Count>;

interface Count extends UnrecordedReads {
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/**
 * Counts reads in memory and inserts them in batches, a second after the first one. A batch that
 * fails is kept and tried again a second later. A killed process loses the reads of its last
 * second, or those since an outage began. A commit whose answer is lost is repeated, so a count may
 * be too high.
 */
export function createAccessTokenReadAudit({
  db,
  onUnrecorded = () => undefined,
  rowsMax = rowsMaxDefault,
}: AccessTokenReadAuditOptions): AccessTokenReadAudit {
  let counts: Counts = new Map();
  let inFlight: Counts = new Map();
  let flushing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastError: unknown;
  let isClosed = false;

  function add(count: Count): void {
    const known = counts.get(keyOf(count));
    if (known === undefined && counts.size >= rowsMax) {
      report(counts, new Error('Too many reads wait to be written.'), true);
      counts = new Map();
    }
    counts.set(keyOf(count), known === undefined ? count : sumOf(known, count));
  }

  /** One flush at a time: while PostgreSQL hangs, the audit holds one connection. */
  function scheduleFlush(): void {
    if (flushing !== undefined || counts.size === 0 || isClosed) return;
    timer ??= setTimeout(() => void flush(), flushIntervalMs).unref();
  }

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    flushing ??= writeCounts().finally(() => {
      flushing = undefined;
      scheduleFlush();
    });
    await flushing;
  }

  async function writeCounts(): Promise<void> {
    if (counts.size === 0) return;
    const batch = counts;
    inFlight = batch;
    counts = new Map();
    try {
      await insertAccessTokenReads(db, [...batch.values()].map(rowOf));
      lastError = undefined;
    } catch (error) {
      if (inFlight !== batch) return;
      if (lastError === undefined && !isClosed) report(batch, error, false);
      lastError = error;
      for (const count of batch.values()) add(count);
    } finally {
      if (inFlight === batch) inFlight = new Map();
    }
  }

  function report(unrecorded: Counts, error: unknown, isLost: boolean): void {
    try {
      onUnrecorded([...unrecorded.values()], error, isLost);
    } catch {
      // A backend's own code: its fault must neither stop the audit nor end the process.
    }
  }

  return {
    record(read) {
      const nowMs = performance.now();
      add({ ...read, reads: 1, firstAtMs: nowMs, lastAtMs: nowMs });
      scheduleFlush();
    },
    async close() {
      isClosed = true;
      // The first one may join a flush that runs already and does not hold the latest reads.
      const written = flush().then(flush);
      await withTimeout(written, closeTimeoutMs, databaseIsAway).catch((error: unknown) => {
        lastError = error;
      });
      // A flush that still hangs may not bring back what is reported as lost here.
      const hanging = inFlight;
      inFlight = new Map();
      for (const count of hanging.values()) add(count);
      if (counts.size > 0) report(counts, lastError, true);
      counts = new Map();
    },
  };
}

function keyOf({ accessTokenId, generation, actor }: AuditedRead): string {
  return `${accessTokenId} ${generation} ${actor.type} ${actor.id}`;
}

function sumOf(one: Count, other: Count): Count {
  return {
    ...one,
    reads: one.reads + other.reads,
    firstAtMs: Math.min(one.firstAtMs, other.firstAtMs),
    lastAtMs: Math.max(one.lastAtMs, other.lastAtMs),
  };
}

function rowOf({ firstAtMs, lastAtMs, ...read }: Count): ReadAuditEntry {
  const nowMs = performance.now();
  return { ...read, firstAgoMs: nowMs - firstAtMs, lastAgoMs: nowMs - lastAtMs };
}
