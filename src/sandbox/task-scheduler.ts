import { setTimeout as pause } from 'node:timers/promises';

/** Work that waits for its time or is under way. */
export interface Agenda {
  /** Aborted by `close`. */
  readonly signal: AbortSignal;
  /** Runs the task after `delayMs`; does nothing on a closed agenda. The task must not throw. */
  after(delayMs: number, task: () => void | Promise<void>): void;
  /** Waits `delayMs`; false when the agenda was closed meanwhile. */
  wait(delayMs: number): Promise<boolean>;
  /** Resolves as soon as nothing is waiting or under way. */
  settled(): Promise<void>;
  /** Clears every timer and aborts what is under way. */
  close(): void;
}

/** A new, empty agenda. A reset closes the old one and starts another, so nothing old reaches the new state. */
export function createAgenda(): Agenda {
  const abort = new AbortController();
  let openCount = 0;
  let waiters: (() => void)[] = [];

  const finish = (): void => {
    openCount -= 1;
    if (openCount > 0) return;
    for (const resolve of waiters) resolve();
    waiters = [];
  };

  const wait = async (delayMs: number): Promise<boolean> => {
    try {
      await pause(delayMs, undefined, { signal: abort.signal });
      return true;
    } catch {
      return false;
    }
  };

  const run = async (delayMs: number, task: () => void | Promise<void>): Promise<void> => {
    try {
      if (await wait(delayMs)) await task();
    } finally {
      finish();
    }
  };

  return {
    signal: abort.signal,
    wait,
    after(delayMs, task) {
      if (abort.signal.aborted) return;
      openCount += 1;
      void run(delayMs, task);
    },
    settled: () =>
      openCount === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiters.push(resolve);
          }),
    close: () => abort.abort(),
  };
}
