import { setTimeout as pause } from 'node:timers/promises';

/** Runs delayed tasks until it is closed. */
export interface TaskScheduler {
  /** Aborted by `close`. */
  readonly signal: AbortSignal;
  /** Runs the task after `delayMs`; ignored once closed. The task must not throw. */
  schedule(delayMs: number, task: () => void | Promise<void>): void;
  /** Waits `delayMs`. False when `close` cut the wait short. */
  wait(delayMs: number): Promise<boolean>;
  /** Resolves as soon as no task is pending or running. */
  settled(): Promise<void>;
  /** Cancels pending tasks and waits, and aborts `signal` for running ones. */
  close(): void;
}

/**
 * A scheduler without tasks. A reset closes it and creates another, so that no old task changes the
 * new state.
 */
export function createTaskScheduler(): TaskScheduler {
  const abort = new AbortController();
  let openCount = 0;
  let settledWaiters: (() => void)[] = [];

  const finishTask = (): void => {
    openCount -= 1;
    if (openCount > 0) return;
    for (const resolve of settledWaiters) resolve();
    settledWaiters = [];
  };

  const wait = async (delayMs: number): Promise<boolean> => {
    try {
      await pause(delayMs, undefined, { signal: abort.signal });
      return true;
    } catch {
      return false;
    }
  };

  const runTask = async (delayMs: number, task: () => void | Promise<void>): Promise<void> => {
    try {
      if (await wait(delayMs)) await task();
    } finally {
      finishTask();
    }
  };

  return {
    signal: abort.signal,
    wait,
    schedule(delayMs, task) {
      if (abort.signal.aborted) return;
      openCount += 1;
      void runTask(delayMs, task);
    },
    settled: () =>
      openCount === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            settledWaiters.push(resolve);
          }),
    close: () => abort.abort(),
  };
}
