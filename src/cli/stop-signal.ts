import { exitCodes } from '../domain/exit-codes.ts';

/**
 * Signals that follow the first one within this time are copies of it. A terminal and systemd
 * signal every process of the group, and npm forwards its own copy to its child.
 */
const copiesWithinMs = 1_000;

/**
 * Resolves to the first SIGTERM or SIGINT from now on. A second request to stop ends the process at
 * once. Call it before work starts: without a handler, a process with id 1, as in a container,
 * ignores both signals.
 */
export async function untilStopSignal(): Promise<string> {
  return await new Promise((resolve) => {
    let firstAt: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        firstAt ??= performance.now();
        if (performance.now() - firstAt > copiesWithinMs) process.exit(exitCodes.fault);
        resolve(signal);
      });
    }
  });
}
