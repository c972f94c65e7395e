import type { ChildProcess } from './child-process.ts';

/** Rows of one run that must be there at its end. */
export interface StoredRows {
  /** Requests in their final state. */
  readonly final: number;
  readonly audit: number;
}

/** One way to do the same work, with a worker process of its own. */
export interface Contestant {
  readonly name: string;
  readonly workers: readonly ChildProcess[];
  /** Hands over one job per reference. */
  readonly enqueue: (references: readonly string[]) => Promise<void>;
  /**
   * Whether `enqueue` needs the worker itself. Then the clock starts with the first request; else
   * the worker rests while the jobs are enqueued, and the clock starts when it goes on.
   */
  readonly isEnqueuedLive?: boolean;
  /** Whether its worker polls. Then the clock starts with its first call of the gateway. */
  readonly isPolling?: boolean;
  /** Whether its queue holds no job that has not ended. */
  readonly isQueueEmpty: () => Promise<boolean>;
  /** The rows of references with this prefix; undefined where nothing is stored. */
  readonly countRows?: (prefix: string) => Promise<StoredRows>;
  /** The prefix of its keys in Redis. */
  readonly redisPrefix?: string;
  readonly close: () => Promise<void>;
}

/** The audit rows of one request: requested, submitting, active. */
export const auditRowsPerJob = 3;
