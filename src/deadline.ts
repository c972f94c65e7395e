/** A time limit for one piece of work. */
export interface Deadline {
  /** Aborts when the time is over, or when the caller's own signal aborts. */
  readonly signal: AbortSignal;
  /** Whether the time was over before the work ended. */
  readonly isOver: () => boolean;
  /** Ends the timer. The work calls it when it ends, however it ends. */
  readonly clear: () => void;
}

/**
 * Starts a deadline in `timeoutMs` milliseconds.
 *
 * `AbortSignal.timeout` can't be cleared: a worker with hundreds of short jobs a second would keep
 * thousands of its timers, and create an error for each when it fires.
 */
export function startDeadline(timeoutMs: number, signal?: AbortSignal): Deadline {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    signal?.removeEventListener('abort', abort);
    controller.abort(new DOMException('The deadline is over.', 'TimeoutError'));
  }, timeoutMs);
  // The work keeps the process alive, not its deadline.
  timer.unref();
  if (signal?.aborted === true) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    isOver: () => isOver,
    clear() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}
