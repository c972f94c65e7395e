import { setTimeout } from 'node:timers/promises';
import type { CallPermit, HostLimiter } from './host-limiter.ts';

/**
 * Waits for a permit of a call that may come late, for as long as a call may take. Undefined if
 * there was none in that time, or the signal was aborted.
 */
export async function untilPermitted(
  limiter: HostLimiter,
  host: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<CallPermit | undefined> {
  const endsAtMs = performance.now() + timeoutMs;
  for (;;) {
    const permit = await limiter.acquire(host, { signal });
    if (permit.kind === 'permit') return permit;
    const isOver = performance.now() + permit.retryAfterMs > endsAtMs;
    if (isOver || signal?.aborted === true) return undefined;
    await setTimeout(permit.retryAfterMs, undefined, { signal }).catch(() => undefined);
  }
}
