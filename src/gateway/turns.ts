import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible';

/** Calls that may queue; far above what the workers of a process can have under way at once. */
const waitingMax = 10_000;

/** Waits for one's turn at a host; resolves in the order of asking, at most `perSecondMax` times a second and host. */
export function createTurns(perSecondMax: number): (url: string) => Promise<void> {
  const queue = new RateLimiterQueue(new RateLimiterMemory({ points: perSecondMax, duration: 1 }), {
    maxQueueSize: waitingMax,
  });
  return async (url) => {
    await queue.removeTokens(1, new URL(url).host);
  };
}
