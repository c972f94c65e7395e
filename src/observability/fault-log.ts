import type { Logger } from './logger.ts';

/** A log of faults that recur, such as an outage that fails every call. */
export interface FaultLog {
  /**
   * Logs a fault at once, then at most once per interval for each cause. The field `repeated`
   * counts the faults of that cause that were left out since its last line.
   */
  readonly fault: (fault: Fault) => void;
  /**
   * Logs the end of a cause, if there is a line about it. A fault that comes and goes still has one
   * line per interval.
   */
  readonly over: (cause: string, fields: object, message: string) => void;
}

/** One occurrence of a fault. */
export interface Fault {
  /** Names the fault: occurrences with the same text are the same fault. It never holds a value. */
  readonly cause: string;
  readonly level: 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

interface LoggedFault {
  readonly loggedAtMs: number;
  /** How often it came since then. */
  unlogged: number;
  isOver: boolean;
}

const intervalMsDefault = 60_000;

/** Creates a log of faults on the process's logger. */
export function createFaultLog(
  logger: Logger,
  { intervalMs = intervalMsDefault }: { readonly intervalMs?: number } = {},
): FaultLog {
  const logged = new Map<string, LoggedFault>();
  return {
    fault({ cause, level, fields, message }) {
      const nowMs = performance.now();
      const last = logged.get(cause);
      if (last !== undefined && nowMs - last.loggedAtMs < intervalMs) {
        last.unlogged += 1;
        return;
      }
      logged.set(cause, { loggedAtMs: nowMs, unlogged: 0, isOver: false });
      const repeated = last === undefined || last.unlogged === 0 ? {} : { repeated: last.unlogged };
      logger[level]({ ...fields, ...repeated }, message);
    },
    over(cause, fields, message) {
      const last = logged.get(cause);
      if (last === undefined || last.isOver) return;
      last.isOver = true;
      logger.info(fields, message);
    },
  };
}
