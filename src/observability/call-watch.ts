import type { FaultLog } from './fault-log.ts';

/** A finished call to the gateway, or a finished attempt to deliver an event. */
export interface WatchedCall {
  /** The operation's name, of a closed set. */
  readonly target: string;
  readonly host: string;
  /** The id of what the call is about, such as a tokenization; undefined counts as another one. */
  readonly subject: string | undefined;
  /** The reason code of a failure; undefined: the call succeeded. */
  readonly failure: string | undefined;
  /** The gateway's code of a failure, where its answer has one. */
  readonly gatewayCode?: string | undefined;
}

/** Watches for calls that all fail. */
export interface CallWatch {
  readonly observe: (call: WatchedCall) => void;
  /** The targets whose calls all fail, by name. */
  readonly failing: () => readonly string[];
}

/** The failures of a target since its last success. */
interface FailedCalls {
  count: number;
  readonly firstAtMs: number;
  /** What they were about, at most `failingFrom` of them. */
  readonly subjects: Set<string>;
  isFailing: boolean;
}

/** From this many failures in a row, about as many subjects, every call counts as failing. */
const failingFrom = 3;

/** For how long the calls about fewer subjects fail until every call counts as failing. */
const failingAfterMsDefault = 300_000;

export interface CallWatchOptions {
  readonly failingAfterMs?: number;
  /** Receives the number of failures in a row of a target when it changes. */
  readonly onFailedInARow?: (target: string, failures: number) => void;
}

/**
 * Creates a watch. It logs the first failure of a target at once, as a warning. Every call to a
 * target counts as failing, which is an error in the log, from the third failure in a row: if the
 * failures are about three subjects, or if none has succeeded for five minutes. Until then, the
 * failures may be the fault of a single request. Each line comes at most once a minute. The first
 * success after that is logged too.
 *
 * @param what what the log calls these calls
 */
export function createCallWatch(
  what: 'gateway' | 'webhook',
  log: FaultLog,
  {
    failingAfterMs = failingAfterMsDefault,
    onFailedInARow = () => undefined,
  }: CallWatchOptions = {},
): CallWatch {
  const failed = new Map<string, FailedCalls>();
  const { single, repeated, all, over } = messages[what];
  const causeOf = (target: string, { isFailing }: FailedCalls): string =>
    isFailing ? `${what} ${target} fails` : `${what} ${target} fails for one subject`;

  function countFailure({ target, subject }: WatchedCall): FailedCalls {
    const nowMs = performance.now();
    const calls = failed.get(target) ?? {
      count: 0,
      firstAtMs: nowMs,
      subjects: new Set(),
      isFailing: false,
    };
    failed.set(target, calls);
    calls.count += 1;
    if (calls.subjects.size < failingFrom) calls.subjects.add(subject ?? `call ${calls.count}`);
    calls.isFailing =
      calls.count >= failingFrom &&
      (calls.subjects.size >= failingFrom || nowMs - calls.firstAtMs >= failingAfterMs);
    onFailedInARow(target, calls.count);
    return calls;
  }

  return {
    observe(call) {
      const { target, host, subject, failure: reason, gatewayCode } = call;
      if (reason === undefined) {
        const before = failed.get(target);
        if (before === undefined) return;
        failed.delete(target);
        onFailedInARow(target, 0);
        log.over(causeOf(target, before), { target, host, failed: before.count }, over);
        return;
      }
      const calls = countFailure(call);
      const { count, subjects } = calls;
      const fields = { target, host, reason, gatewayCode, failedInARow: count };
      const cause = causeOf(target, calls);
      if (calls.isFailing) {
        log.fault({ cause, level: 'error', fields, message: all });
      } else if (count >= failingFrom && subjects.size === 1) {
        log.fault({ cause, level: 'warn', fields: { ...fields, subject }, message: repeated });
      } else {
        const first = `${what} ${target} ${reason}`;
        log.fault({ cause: first, level: 'warn', fields, message: single });
      }
    },
    failing: () => [...failed].filter(([, { isFailing }]) => isFailing).map(([target]) => target),
  };
}

const messages = {
  gateway: {
    single: 'a call to the gateway failed',
    repeated: 'the calls to the gateway about one tokenization or credential fail',
    all: 'every call to the gateway fails',
    over: 'the gateway answers again',
  },
  webhook: {
    single: 'an event could not be delivered',
    repeated: 'one event cannot be delivered',
    all: 'no event can be delivered',
    over: 'events are delivered again',
  },
} as const;
