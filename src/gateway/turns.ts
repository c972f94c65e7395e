import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible';

/** Calls that may queue; far above what the workers of a process can have under way at once. */
const waitingMax = 10_000;

/** One's turn at a host. It holds one of the host's places until `end`. */
export interface Turn {
  readonly end: () => void;
}

/** How much one process asks of one host. */
export interface TurnLimits {
  /** Turns that begin in a second, evenly spread, so that it holds in any second. */
  readonly perSecondMax: number;
  /** Turns that wait or are taken at once; further ones are refused. */
  readonly atOnceMax: number;
}

/**
 * Takes a place at a host and waits for its turn there, in the order of asking; undefined, at once, when all places are taken. A host that
 * hangs thus keeps its own places and nobody else's.
 */
export function createTurns({
  perSecondMax,
  atOnceMax,
}: TurnLimits): (url: string) => Promise<Turn | undefined> {
  const limiter = new RateLimiterMemory({ points: 1, duration: 1 / perSecondMax });
  const queue = new RateLimiterQueue(limiter, { maxQueueSize: waitingMax });
  const taken = new Map<string, number>();

  const take = (host: string, places: 1 | -1): void => {
    taken.set(host, (taken.get(host) ?? 0) + places);
  };
  return async (url) => {
    const { host } = new URL(url);
    if ((taken.get(host) ?? 0) >= atOnceMax) return undefined;
    take(host, 1);
    try {
      await queue.removeTokens(1, host);
    } catch (error) {
      take(host, -1);
      throw error;
    }
    return { end: () => take(host, -1) };
  };
}
