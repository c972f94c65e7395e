import type { Logger } from './observability/logger.ts';

/** A part of the process that has to be closed. */
export interface Closable {
  /** @param withinMs how long the shutdown waits for this part */
  readonly close: (withinMs: number) => Promise<void>;
}

/** The result of a shutdown. */
export interface ShutdownReport {
  readonly isClean: boolean;
  /** The parts that were still open when the deadline passed. */
  readonly late: readonly string[];
}

/** Closes the parts of a process one after the other. */
export interface Shutdown {
  readonly own: (name: string, closable: Closable) => void;
  /** Closes every part, last opened first. A second call returns the report of the first. */
  readonly run: () => Promise<ShutdownReport>;
}

/** The time reserved for each part that is still to close, however long an earlier one hangs. */
const shareMsMax = 1_000;

/**
 * Creates a graceful shutdown: intake opened last and closes first, the database closes last. One
 * deadline bounds the whole, since no part has its own. A part may use all of the time except the
 * shares of the parts after it, so a part that fails or hangs does not keep the others open.
 */
export function createShutdown(options: {
  readonly deadlineMs: number;
  readonly logger: Logger;
}): Shutdown {
  const { deadlineMs, logger } = options;
  const owned: { name: string; closable: Closable }[] = [];
  let running: Promise<ShutdownReport> | undefined;

  async function closeAll(): Promise<ShutdownReport> {
    const deadline = performance.now() + deadlineMs;
    const shareMs = Math.min(shareMsMax, deadlineMs / (2 * owned.length));
    const late: string[] = [];
    for (const [index, { name, closable }] of [...owned.entries()].toReversed()) {
      const remainingMs = deadline - performance.now() - index * shareMs;
      const startedAt = performance.now();
      const isClosed = await closeWithin(name, closable, remainingMs);
      const durationMs = Math.round(performance.now() - startedAt);
      logger.debug({ part: name, isClosed, durationMs }, 'a part was closed');
      if (!isClosed) late.push(name);
    }
    return { isClean: late.length === 0, late };
  }

  async function closeWithin(name: string, closable: Closable, ms: number): Promise<boolean> {
    const withinMs = Math.max(0, ms);
    const timer = Promise.withResolvers<boolean>();
    const timeout = setTimeout(() => timer.resolve(false), withinMs);
    const isClosed = await Promise.race([close(name, closable, withinMs), timer.promise]);
    clearTimeout(timeout);
    return isClosed;
  }

  async function close(name: string, closable: Closable, withinMs: number): Promise<true> {
    try {
      await closable.close(withinMs);
    } catch (error) {
      logger.warn({ part: name, error }, 'a part could not be closed');
    }
    return true;
  }

  return {
    own: (name, closable) => owned.push({ name, closable }),
    run: async () => await (running ??= closeAll()),
  };
}
