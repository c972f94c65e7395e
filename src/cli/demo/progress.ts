import type { Db } from '../../db/connection/database.ts';
import { findStates } from '../../db/tokenizations.ts';
import type { Lifecycle } from './lifecycle.ts';

/** The live view of the demo. */
export interface Progress {
  /** Resolves when every lifecycle has its expected state, or after `withinMs`. */
  readonly untilSettled: (withinMs: number, signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
}

const everyMs = 250;

/**
 * Shows how many lifecycles are in each state: on one line of a terminal, else on a line each
 * change.
 */
export function createProgress(db: Db, lifecycles: readonly Lifecycle[]): Progress {
  const isTerminal = process.stdout.isTTY;
  let last = '';
  const show = async (): Promise<void> => {
    const states = await statesOf(db, lifecycles);
    const counts = new Map<string, number>();
    for (const state of states.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
    const line = [...counts].map(([state, count]) => `${state} ${count}`).join('  ');
    if (line === last) return;
    last = line;
    if (isTerminal) process.stdout.write(`\r\u001b[K  ${line}`);
    else console.log(`  ${line}`);
  };
  const timer = setInterval(() => void show().catch(() => undefined), everyMs);
  return {
    async untilSettled(withinMs, signal) {
      const deadline = performance.now() + withinMs;
      while (performance.now() < deadline && !signal.aborted) {
        const states = await statesOf(db, lifecycles);
        const isSettled = lifecycles.every(
          ({ tokenizationId, scenario }) => states.get(tokenizationId) === scenario.expected,
        );
        if (isSettled) break;
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
      await show();
    },
    close() {
      clearInterval(timer);
      if (isTerminal) process.stdout.write('\n');
    },
  };
}

async function statesOf(
  db: Db,
  lifecycles: readonly Lifecycle[],
): Promise<ReadonlyMap<string, string>> {
  return await findStates(
    db,
    lifecycles.map(({ tokenizationId }) => tokenizationId),
  );
}
