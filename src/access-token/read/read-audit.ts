import { type ReadAuditEntry, insertAccessTokenReads } from '../../db/access-token-reads.ts';
import type { Db } from '../../db/connection/database.ts';
import { databaseUnavailable } from '../../db/connection/faults.ts';
import { withTimeout } from '../../db/connection/with-timeout.ts';
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
  /** Writes the counted reads, within five seconds, and reports those that it could not write. */
  readonly close: () => Promise<void>;
}

/** The options of a read audit. */
export interface AccessTokenReadAuditOptions {
  readonly db: Db;
  /**
   * The audit calls it with reads that it could not write: once per outage if it keeps them and
   * tries again, and with `isLost` if it gives them up. A write that hangs may still record them.
   * The audit ignores what it throws or rejects with.
   */
  readonly onUnrecorded?: (
    unrecorded: readonly UnrecordedReads[],
    error: unknown,
    isLost: boolean,
  ) => void;
  /**
   * How many rows may wait to be written, default 50,000. A read that would need another row is
   * reported as lost, which bounds the memory that an outage takes; the waiting reads are kept.
   */
  readonly rowsMax?: number;
}

const flushIntervalMs = 1_000;
const closeTimeoutMs = 5_000;
const rowsMaxDefault = 50_000;

/** Reads that wait to be written. Times on the clock of `performance.now()`. */
interface Count extends UnrecordedReads {
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/**
 * Counts reads in memory and inserts them in batches, once a second. A batch that fails is kept and
 * tried again with the next one. A killed process loses the reads of its last second, or those
 * since an outage began. A commit whose answer is lost is repeated, so a count may be too high.
 */
export function createAccessTokenReadAudit({
  db,
  onUnrecorded = () => undefined,
  rowsMax = rowsMaxDefault,
}: AccessTokenReadAuditOptions): AccessTokenReadAudit {
  const counts = new Map<string, Count>();
  let flushing: Promise<void> | undefined;
  let lastError: unknown;
  let isClosed = false;
  const timer = setInterval(() => void flush(), flushIntervalMs);
  timer.unref();

  /** One flush at a time: while PostgreSQL hangs, the audit holds one connection. */
  async function flush(): Promise<void> {
    flushing ??= writeCounts().finally(() => {
      flushing = undefined;
    });
    await flushing;
  }

  async function writeCounts(): Promise<void> {
    const batch = [...counts];
    if (batch.length === 0) return;
    try {
      await insertAccessTokenReads(
        db,
        batch.map(([, count]) => rowOf(count)),
      );
      lastError = undefined;
      for (const [key, written] of batch) takeOff(counts, key, written);
    } catch (error) {
      if (lastError === undefined && !isClosed) void tell([...counts.values()], error, false);
      lastError = error;
    }
  }

  const giveUp = (read: AuditedRead, error: unknown): void =>
    void tell([{ ...read, reads: 1 }], error, true);

  /** Runs a backend's own code: its fault must neither stop the audit nor end the process. */
  async function tell(...told: Parameters<typeof onUnrecorded>): Promise<void> {
    try {
      await (onUnrecorded(...told) as unknown);
    } catch {
      // The audit has no other place to report a fault of the callback itself.
    }
  }

  return {
    record(read) {
      const key = keyOf(read);
      const known = counts.get(key);
      if (isClosed) {
        giveUp(read, lastError ?? new Error('The read audit is closed.'));
        return;
      }
      if (known === undefined && counts.size >= rowsMax) {
        giveUp(read, new Error('Too many reads wait to be written.'));
        return;
      }
      const lastAtMs = performance.now();
      counts.set(key, {
        ...read,
        reads: (known?.reads ?? 0) + 1,
        firstAtMs: known?.firstAtMs ?? lastAtMs,
        lastAtMs,
      });
    },
    async close() {
      isClosed = true;
      clearInterval(timer);
      // The first flush may be one that runs already and does not hold the latest reads.
      const written = flush().then(flush);
      await withTimeout(written, closeTimeoutMs, databaseUnavailable).catch((error: unknown) => {
        lastError = error;
      });
      const lost = [...counts.values()];
      counts.clear();
      if (lost.length > 0) void tell(lost, lastError, true);
    },
  };
}

function keyOf({ accessTokenId, generation, actor }: AuditedRead): string {
  return `${accessTokenId} ${generation} ${actor.type} ${actor.id}`;
}

/** Subtracts the written reads. Reads that came during the write stay for the next one. */
function takeOff(counts: Map<string, Count>, key: string, { reads, lastAtMs }: Count): void {
  const count = counts.get(key);
  if (count === undefined || count.reads === reads) counts.delete(key);
  else counts.set(key, { ...count, reads: count.reads - reads, firstAtMs: lastAtMs });
}

function rowOf({ firstAtMs, lastAtMs, ...read }: Count): ReadAuditEntry {
  const nowMs = performance.now();
  return { ...read, firstAgoMs: nowMs - firstAtMs, lastAgoMs: nowMs - lastAtMs };
}
