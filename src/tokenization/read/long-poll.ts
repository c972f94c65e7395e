import { AppError } from '../../domain/errors.ts';
import { isFinal } from '../../domain/tokenization.ts';
import type { TokenizationProgress } from '../../db/tokenization-pages.ts';
import type { TokenizationView } from '../../domain/payload/api-shapes.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { getTokenizationView } from './view.ts';

/** What a wait ends at: `redirect`: a redirect address or a final state; `final`: a final state. */
export type WaitTarget = 'redirect' | 'final';

/** Requests that wait for a tokenization to progress. */
export interface TokenizationWaiters {
  /**
   * Resolves when the tokenization reaches `until`, after `waitMs` milliseconds, when `signal`
   * aborts, or when the process stops. Rejects with `wait_capacity_reached` when too many requests
   * wait, and with the database's error when it fails.
   */
  readonly wait: (
    id: string,
    options: { readonly until: WaitTarget; readonly waitMs: number; readonly signal: AbortSignal },
  ) => Promise<void>;
  /** How many requests wait now. */
  readonly count: () => number;
  /** Ends every wait; a later call of `wait` returns at once. */
  readonly close: () => void;
}

interface Waiter {
  readonly id: string;
  readonly until: WaitTarget;
  readonly settle: (error?: unknown) => void;
}

const waitersMaxDefault = 10_000;
const pollMsMin = 50;
const pollMsMax = 1_000;

/**
 * Polls the database on behalf of all waiting requests: one query at a time reads all their rows.
 * The pause between two queries is a tenth of the time since the last request arrived, from 50 ms
 * to 1 s. A new request is thereby answered fast, and a long wait for a customer costs few queries.
 */
export function createTokenizationWaiters(
  findProgress: (ids: readonly string[]) => Promise<readonly TokenizationProgress[]>,
  { waitersMax = waitersMaxDefault }: { readonly waitersMax?: number } = {},
): TokenizationWaiters {
  const waiters = new Set<Waiter>();
  let timer: NodeJS.Timeout | undefined;
  let timerDueAt = 0;
  let lastArrivalAt = 0;
  let isPolling = false;
  let isClosed = false;

  function schedule(): void {
    if (isPolling || waiters.size === 0) return;
    const now = performance.now();
    const pauseMs = Math.min(pollMsMax, Math.max(pollMsMin, (now - lastArrivalAt) / 10));
    // A new request makes the next poll earlier, never later, so a stream of them cannot postpone
    // it.
    if (timer !== undefined && timerDueAt <= now + pauseMs) return;
    clearTimeout(timer);
    timerDueAt = now + pauseMs;
    timer = setTimeout(() => void poll(), pauseMs);
  }

  async function poll(): Promise<void> {
    timer = undefined;
    isPolling = true;
    const polled = [...waiters];
    try {
      const rows = await findProgress([...new Set(polled.map(({ id }) => id))]);
      const progress = new Map(rows.map((row) => [row.id, row]));
      for (const waiter of polled) {
        const row = progress.get(waiter.id);
        if (row === undefined || hasReached(row, waiter.until)) waiter.settle();
      }
    } catch (error) {
      for (const waiter of polled) waiter.settle(error);
    } finally {
      isPolling = false;
      schedule();
    }
  }

  return {
    async wait(id, { until, waitMs, signal }) {
      if (isClosed || signal.aborted) return;
      if (waiters.size >= waitersMax) {
        throw new AppError(
          'wait_capacity_reached',
          'Too many requests wait already; retry without waiting.',
        );
      }
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = {
          id,
          until,
          settle(error) {
            waiters.delete(waiter);
            clearTimeout(timeout);
            signal.removeEventListener('abort', stopWaiting);
            if (error === undefined) resolve();
            else reject(error);
          },
        };
        const stopWaiting = (): void => waiter.settle();
        const timeout = setTimeout(stopWaiting, waitMs);
        signal.addEventListener('abort', stopWaiting, { once: true });
        waiters.add(waiter);
        lastArrivalAt = performance.now();
        schedule();
      });
    },
    count: () => waiters.size,
    close() {
      isClosed = true;
      clearTimeout(timer);
      for (const waiter of waiters) waiter.settle();
    },
  };
}

/** Whether a tokenization has reached what a request waits for. */
export function hasReached(
  {
    state,
    has_redirect_url: hasRedirectUrl,
  }: Pick<TokenizationProgress, 'state' | 'has_redirect_url'>,
  until: WaitTarget,
): boolean {
  return isFinal(state) || (until === 'redirect' && hasRedirectUrl);
}

/** How long to wait, in milliseconds, and for what. Without `waitMs` there is no wait. */
export interface WaitOptions {
  readonly waitMs: number | undefined;
  readonly until: WaitTarget;
  readonly signal: AbortSignal;
}

type WaitDependencies = Pick<BackendDependencies, 'db' | 'keyring'> & {
  readonly waiters: Pick<TokenizationWaiters, 'wait'>;
};

/**
 * Returns the tokenization once it has reached what `options` asks for, or as it is when the wait
 * ends. Throws `tokenization_not_found`.
 */
export async function awaitTokenization(
  dependencies: WaitDependencies,
  id: string,
  options: WaitOptions,
): Promise<TokenizationView> {
  const view = await getTokenizationView(dependencies, id);
  const mayHaveChanged = await waitForProgress(dependencies, view, options);
  return mayHaveChanged ? await getTokenizationView(dependencies, id) : view;
}

/**
 * Waits for the tokenization of a view. Returns whether it waited; if so, the view may be outdated.
 */
export async function waitForProgress(
  { waiters }: Pick<WaitDependencies, 'waiters'>,
  { id, state, redirectUrl }: Pick<TokenizationView, 'id' | 'state' | 'redirectUrl'>,
  { waitMs, until, signal }: WaitOptions,
): Promise<boolean> {
  const isReached = hasReached({ state, has_redirect_url: redirectUrl !== null }, until);
  if (waitMs === undefined || isReached) return false;
  await waiters.wait(id, { until, waitMs, signal });
  return true;
}
