import type { Refusal } from '../domain/refusals.ts';
import { createCallWatch } from './call-watch.ts';
import type { FaultLog } from './fault-log.ts';
import { createRefusalWatch } from './refusal-watch.ts';

/** A finished call to the gateway. */
export interface FinishedCall {
  readonly operation: string;
  readonly host: string;
  readonly subject: string | undefined;
  /** The reason code of an unknown outcome; undefined: the gateway answered. */
  readonly cause: string | undefined;
  readonly gatewayCode: string | undefined;
  readonly refusal: Refusal | undefined;
}

/** Watches for a gateway that fails or refuses every call of an operation. */
export interface GatewayWatch {
  readonly observe: (call: FinishedCall) => void;
  /** The operations whose calls all fail. */
  readonly failing: () => readonly string[];
  /** The operations whose calls are all refused. */
  readonly refusing: () => readonly string[];
}

/** Receive the failures or refusals in a row of an operation, when their number changes. */
export interface GatewayWatchOptions {
  readonly onFailedInARow: (operation: string, failures: number) => void;
  readonly onRefusedInARow: (operation: string, refusals: number) => void;
}

/** Creates a watch. A call that a stop of the worker aborted says nothing about the gateway. */
export function createGatewayWatch(log: FaultLog, options: GatewayWatchOptions): GatewayWatch {
  const calls = createCallWatch('gateway', log, options);
  const refusals = createRefusalWatch(log, options.onRefusedInARow);
  return {
    observe({ operation: target, host, subject, cause, gatewayCode, refusal }) {
      if (cause === 'aborted') return;
      calls.observe({ target, host, subject, failure: cause, gatewayCode });
      if (cause === undefined) refusals.observe({ target, host, subject, refusal });
    },
    failing: calls.failing,
    refusing: refusals.refusing,
  };
}
