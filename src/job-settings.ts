import type { Config } from './config/config.ts';

/**
 * Of the access-token jobs, the share that may call one host; a host that hangs leaves the rest.
 */
const shareOfOneHost = 0.75;

/** OAuth calls that a process may have in flight at one host. One job is left to the scan. */
export function oauthCallsInFlightMax({ queue }: Pick<Config, 'queue'>): number {
  return Math.max(1, Math.floor((queue.concurrency['access-token'] - 1) * shareOfOneHost));
}
