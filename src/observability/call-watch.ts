import type { FaultLog } from './fault-log.ts';

/** A finished call to the gateway, or a finished attempt to deliver an event. */
export interface WatchedCall {
  /** The operation's name, of a closed set. */
  readonly target: string;
  readonly host: string;
  /** The reason code of a failure; undefined: the call succeeded. */
  readonly failure: string | undefined;
}

/** Watches for calls that all fail. */
export interface CallWatch {
  readonly observe: (call: WatchedCall) => void;
  /** The targets whose calls all fail, by name. */
  readonly failing: () => readonly string[];
}

/** From this many failures in a row, every call to a target counts as failing. */
const failingFrom = 3;

/**
 * Creates a watch. It logs the first failure of a target at once, as a warning, and the third in a
 * row as an error, each at most once a minute. The first success after that is logged too.
 *
 * @param what what the log calls these calls
 * @param onFailedInARow receives the number of failures in a row of a target when it changes
 */
export function createCallWatch(
  what: 'gateway' | 'webhook',
  log: FaultLog,
  onFailedInARow: (target: string, failures: number) => void = () => undefined,
): CallWatch {
  const failedInARow = new Map<string, number>();
  const { single, all, over } = messages[what];
  return {
    observe({ target, host, failure }) {
      const before = failedInARow.get(target) ?? 0;
      if (failure === undefined) {
        if (before === 0) return;
        failedInARow.set(target, 0);
        onFailedInARow(target, 0);
        log.over(`${what} ${target} fails`, { target, host, failed: before }, over);
        return;
      }
      const failures = before + 1;
      failedInARow.set(target, failures);
      onFailedInARow(target, failures);
      const isFailing = failures >= failingFrom;
      log.fault({
        cause: isFailing ? `${what} ${target} fails` : `${what} ${target} ${failure}`,
        level: isFailing ? 'error' : 'warn',
        fields: { target, host, reason: failure, failedInARow: failures },
        message: isFailing ? all : single,
      });
    },
    failing: () =>
      [...failedInARow].filter(([, failures]) => failures >= failingFrom).map(([target]) => target),
  };
}

const messages = {
  gateway: {
    single: 'a call to the gateway failed',
    all: 'every call to the gateway fails',
    over: 'the gateway answers again',
  },
  webhook: {
    single: 'an event could not be delivered',
    all: 'no event can be delivered',
    over: 'events are delivered again',
  },
} as const;
