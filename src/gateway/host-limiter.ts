import type { TimerOptions } from 'node:timers';
import { setTimeout } from 'node:timers/promises';

/** One call may be made now. `release` is called when it has ended. */
export interface CallPermit {
  readonly kind: 'permit';
  readonly release: () => void;
}

/** No call may be made now: the limit or the number in flight is reached. */
export interface RetryLater {
  readonly kind: 'retry_later';
  readonly retryAfterMs: number;
}

/** The options of one request for a permit. */
export interface PermitRequest {
  /** Ends the wait early; the limiter still gives the permit. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Readers wait for the outcome: the last call in flight is kept for such calls, unless it is the
   * only one.
   */
  readonly isUrgent?: boolean | undefined;
}

/** The rate limit of one kind of calls, for each host by itself. */
export interface HostLimiter {
  /** Gives a permit or refuses, within twice `waitMsMax` even if `reserve` hangs. */
  readonly acquire: (host: string, request?: PermitRequest) => Promise<CallPermit | RetryLater>;
}

/** What a limiter is made of. */
export interface HostLimiterOptions {
  /**
   * Reserves the next slot of the fleet: milliseconds until it, or undefined where it is further
   * ahead than `waitMsMax`. The limiter waits no longer than `waitMsMax` for the answer; a slot
   * that is reserved later stays unused.
   */
  readonly reserve: (host: string, waitMsMax: number) => Promise<number | undefined>;
  /**
   * Permits that this process may hold for one host concurrently; a wait for a slot counts as one.
   */
  readonly inFlightMax: number;
}

/** A permit is waited for in process, so this is how long a job may stand still for it. */
const waitMsMax = 2_000;

/**
 * Creates a limiter. The rate holds for the fleet, by `reserve`; the number in flight holds for
 * this process, so that a host that hangs can't take all of its jobs.
 */
export function createHostLimiter({ reserve, inFlightMax }: HostLimiterOptions): HostLimiter {
  const inFlight = new Map<string, number>();
  const add = (host: string, count: number): void =>
    void inFlight.set(host, (inFlight.get(host) ?? 0) + count);

  return {
    async acquire(host, { signal, isUrgent = false } = {}) {
      const refusal = { kind: 'retry_later', retryAfterMs: waitMsMax } as const;
      const ownMax = isUrgent ? inFlightMax : Math.max(1, inFlightMax - 1);
      if ((inFlight.get(host) ?? 0) >= ownMax) return refusal;
      const release = (): void => add(host, -1);
      add(host, 1);
      try {
        const late = pause(waitMsMax, { signal, ref: false });
        const waitMs = await Promise.race([reserve(host, waitMsMax), late]);
        if (waitMs === undefined && signal?.aborted !== true) {
          release();
          return refusal;
        }
        await pause(waitMs ?? 0, { signal });
        return { kind: 'permit', release };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

/** Waits until the time is over or the signal is aborted. */
async function pause(ms: number, options: TimerOptions): Promise<undefined> {
  // Rejects only when it is aborted.
  return await setTimeout(ms, undefined, options).catch(() => undefined);
}

/** No limit at all, for a process that makes a call now and then. */
export const unlimited: HostLimiter = {
  acquire: async () => await Promise.resolve({ kind: 'permit', release: () => undefined }),
};
