import type { Logger } from './observability/logger.ts';

/** Something that has to be closed. */
export interface Closable {
  readonly close: () => Promise<void>;
}

/** How a stop went. */
export interface ShutdownReport {
  readonly isClean: boolean;
  /** What was not closed when the deadline passed. */
  readonly late: readonly string[];
}

/** Closes what a process owns. */
export interface Shutdown {
  readonly own: (name: string, closable: Closable) => void;
  /** Closes everything, last opened first. Repeating it gives the first call's report. */
  readonly run: () => Promise<ShutdownReport>;
}

/** What each part that is still open keeps of the time, however long the parts before it hang. */
const shareMsMax = 1_000;

/**
 * Creates an ordered shutdown: intake was opened last and is closed first, the database last. One deadline bounds the
 * whole, since none of the parts has one of its own. A part may use all of the time but the shares of those that come
 * after it, so one that fails or hangs does not keep the others from being closed.
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
    const timer = Promise.withResolvers<boolean>();
    const timeout = setTimeout(() => timer.resolve(false), Math.max(0, ms));
    const isClosed = await Promise.race([close(name, closable), timer.promise]);
    clearTimeout(timeout);
    return isClosed;
  }

  async function close(name: string, closable: Closable): Promise<true> {
    try {
      await closable.close();
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
