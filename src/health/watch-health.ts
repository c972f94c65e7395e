import type { HealthCause, HealthReport } from '../domain/health.ts';
import type { FaultLog } from '../observability/fault-log.ts';

/** A running watch. */
export interface HealthWatch {
  readonly close: () => Promise<void>;
}

/** The options of a watch. */
export interface HealthWatchOptions {
  /** Default: 10,000. */
  readonly everyMs?: number;
  /**
   * Repairs a cause that a process can repair itself. A failure of the repair is ignored: the cause
   * remains, and the next check tries again.
   */
  readonly repair?: (cause: HealthCause) => Promise<void>;
}

const everyMsDefault = 10_000;

/**
 * Checks the health of a process at intervals and logs each cause: once when it comes, then once
 * per interval of the log, and once when it is over. So a process without a probe has a log too.
 */
export function watchHealth(
  check: () => Promise<HealthReport>,
  log: FaultLog,
  { everyMs = everyMsDefault, repair = async () => undefined }: HealthWatchOptions = {},
): HealthWatch {
  let present = new Map<string, HealthCause>();
  let checking: Promise<void> = Promise.resolve();

  async function checkOnce(): Promise<void> {
    const { status, causes } = await check();
    const found = new Map(causes.map((cause) => [`${cause.check} ${cause.reason}`, cause]));
    for (const [key, { check: name, reason, names, error }] of found) {
      // The watches of calls log a line about each operation.
      if (reason === 'failing' || reason === 'refusing') continue;
      log.fault({
        cause: key,
        level: 'error',
        fields: {
          check: name,
          reason,
          status,
          ...(names === undefined ? {} : { names }),
          ...(error === undefined ? {} : { error }),
        },
        message: 'a health check fails',
      });
    }
    for (const [key, { check: name, reason }] of present) {
      if (!found.has(key)) log.over(key, { check: name, reason }, 'a health check passes again');
    }
    present = found;
    for (const cause of causes) await repair(cause).catch(() => undefined);
  }

  const timer = setInterval(() => {
    checking = checking.then(checkOnce);
  }, everyMs);
  return {
    async close() {
      clearInterval(timer);
      await checking;
    },
  };
}
