import {
  createRefusalCount,
  type Refusal,
  type RefusalCount,
  refusalRemedy,
} from '../domain/refusals.ts';
import type { FaultLog } from './fault-log.ts';

/** A call that the gateway answered. */
export interface AnsweredCall {
  /** The operation's name, of a closed set. */
  readonly target: string;
  readonly host: string;
  /** The id of what the call is about; undefined counts as another one. */
  readonly subject: string | undefined;
  /** Undefined: the gateway accepted the call. */
  readonly refusal: Refusal | undefined;
}

/** Watches for a gateway that refuses every call. */
export interface RefusalWatch {
  readonly observe: (call: AnsweredCall) => void;
  /** The targets whose calls are all refused, by name. */
  readonly refusing: () => readonly string[];
}

/**
 * Creates a watch. A refused call is an answer, so the watch of calls counts no failure: this one
 * logs an error once many subjects in a row were refused, at most once a minute for each target,
 * and the first accepted call after that.
 *
 * @param onRefusedInARow receives the number of refusals in a row of a target when it changes
 */
export function createRefusalWatch(
  log: FaultLog,
  onRefusedInARow: (target: string, refusals: number) => void = () => undefined,
): RefusalWatch {
  const counts = new Map<string, RefusalCount>();
  let calls = 0;
  return {
    observe({ target, host, subject, refusal }) {
      calls += 1;
      const count = counts.get(target) ?? createRefusalCount();
      counts.set(target, count);
      const before = count.inARow();
      count.add(subject ?? `call ${calls}`, refusal);
      const now = count.inARow();
      if (now !== undefined || before !== undefined) onRefusedInARow(target, now?.count ?? 0);
      const cause = `gateway ${target} refuses`;
      if (now?.isEvery === true) {
        const { code: gatewayCode, scope, count: refusedInARow } = now;
        log.fault({
          cause,
          level: 'error',
          fields: { target, host, gatewayCode, scope, refusedInARow, remedy: refusalRemedy(now) },
          message: 'the gateway refuses every call',
        });
      } else if (before?.isEvery === true) {
        const fields = { target, host, refused: before.count };
        log.over(cause, fields, 'the gateway no longer refuses every call');
      }
    },
    refusing: () =>
      [...counts].filter(([, count]) => count.inARow()?.isEvery === true).map(([target]) => target),
  };
}
