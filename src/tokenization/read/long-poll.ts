import { AppError } from '../../domain/errors.ts';
import { isFinal } from '../../domain/tokenization.ts';
import type { TokenizationProgress } from '../../db/tokenization-pages.ts';
import type { TokenizationView } from '../../domain/api-shapes.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { getTokenizationView } from './view.ts';

/** What a client waits for: an address to send the customer to or a final state, or a final state alone. */
export type Awaited = 'redirect' | 'final';

/** Requests that wait for a tokenization to get on. */
export interface TokenizationWaiters {
  /**
   * Resolves when the tokenization has come as far as `until` says, when `waitMs` milliseconds are over, when `signal` is aborted or when the
   * process stops. Rejects with `wait_capacity_reached` when too many wait, and with what the database says when it fails.
   */
  readonly wait: (
    id: string,
    options: { readonly until: Awaited; readonly waitMs: number; readonly signal: AbortSignal },
  ) => Promise<void>;
  /** How many wait now. */
  readonly count: () => number;
  /** Lets everybody go; nobody waits from now on. */
  readonly close: () => void;
}

interface Waiter {
  readonly id: string;
  readonly until: Awaited;
  readonly settle: (error?: unknown) => void;
}

const waitersMaxDefault = 10_000;
const pollMsMin = 50;
const pollMsMax = 1_000;

/**
 * Creates the waiting room. However many wait, one query at a time looks at all of them; a waiter costs a timer and an entry in a
 * set. The pause between two queries is a tenth of the time that the youngest has waited, from 50 ms to 1 s: whoever came
 * just now is answered at once, and whoever waits for a customer costs little.
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
    // A poll is only ever brought forward: a stream of arrivals must not put it off for ever.
    if (timer !== undefined && timerDueAt <= now + pauseMs) return;
    clearTimeout(timer);
    timerDueAt = now + pauseMs;
    timer = setTimeout(() => void poll(), pauseMs);
  }

  async function poll(): Promise<void> {
    timer = undefined;
    isPolling = true;
    const asked = [...waiters];
    try {
      const rows = await findProgress([...new Set(asked.map(({ id }) => id))]);
      const progress = new Map(rows.map((row) => [row.id, row]));
      for (const waiter of asked) {
        const row = progress.get(waiter.id);
        if (row === undefined || hasCome(row, waiter.until)) waiter.settle();
      }
    } catch (error) {
      for (const waiter of asked) waiter.settle(error);
    } finally {
      isPolling = false;
      schedule();
    }
  }

  return {
    async wait(id, { until, waitMs, signal }) {
      if (isClosed || signal.aborted) return;
      if (waiters.size >= waitersMax) {
        throw new AppError('wait_capacity_reached', 'Too many requests wait; ask without waiting.');
      }
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = {
          id,
          until,
          settle(error) {
            waiters.delete(waiter);
            clearTimeout(timeout);
            signal.removeEventListener('abort', leave);
            if (error === undefined) resolve();
            else reject(error);
          },
        };
        const leave = (): void => waiter.settle();
        const timeout = setTimeout(leave, waitMs);
        signal.addEventListener('abort', leave, { once: true });
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

/** Whether a tokenization has come as far as somebody waits for. */
export function hasCome(
  {
    state,
    has_redirect_url: hasRedirectUrl,
  }: Pick<TokenizationProgress, 'state' | 'has_redirect_url'>,
  until: Awaited,
): boolean {
  return isFinal(state) || (until === 'redirect' && hasRedirectUrl);
}

/** How long to wait, in milliseconds, for what; without `waitMs` nothing is waited for. */
export interface WaitAsked {
  readonly waitMs: number | undefined;
  readonly until: Awaited;
  readonly signal: AbortSignal;
}

/** What those who wait for one tokenization work with. */
type Waiting = Pick<BackendDependencies, 'db' | 'keyring'> & {
  readonly waiters: Pick<TokenizationWaiters, 'wait'>;
};

/** The tokenization as soon as it has come as far as was asked, or as it is when the wait is over. Throws `tokenization_not_found`. */
export async function awaitTokenization(
  dependencies: Waiting,
  id: string,
  asked: WaitAsked,
): Promise<TokenizationView> {
  const view = await getTokenizationView(dependencies, id);
  const isChanged = await waitForProgress(dependencies, view, asked);
  return isChanged ? await getTokenizationView(dependencies, id) : view;
}

/** Waits until the tokenization of a view has come as far as was asked; returns whether it is worth reading again. */
export async function waitForProgress(
  { waiters }: Pick<Waiting, 'waiters'>,
  { id, state, redirectUrl }: Pick<TokenizationView, 'id' | 'state' | 'redirectUrl'>,
  { waitMs, until, signal }: WaitAsked,
): Promise<boolean> {
  const isThere = hasCome({ state, has_redirect_url: redirectUrl !== null }, until);
  if (waitMs === undefined || isThere) return false;
  await waiters.wait(id, { until, waitMs, signal });
  return true;
}
