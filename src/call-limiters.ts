import type { Config } from './config/config.ts';
import type { Db } from './db/connection/database.ts';
import { reserveCall } from './db/host-rate-limit.ts';
import { createHostLimiter, type HostLimiter, unlimited } from './gateway/host-limiter.ts';

/**
 * Of the access-token jobs, the share that may call one host; a host that hangs leaves the rest.
 */
const shareOfOneHost = 0.75;

/** OAuth calls that a process may have in flight at one host. One job is left to the scan. */
export function oauthCallsInFlightMax({ queue }: Pick<Config, 'queue'>): number {
  return Math.max(1, Math.floor((queue.concurrency['access-token'] - 1) * shareOfOneHost));
}

/** The limiters of a process's calls to the gateway. The rates hold for all processes together. */
export function createCallLimiters(
  config: Config,
  db: Db,
  oauthInFlightMax = oauthCallsInFlightMax(config),
): { readonly oauthLimiter: HostLimiter; readonly callLimiter: HostLimiter } {
  const { oauthCallsPerSecondMax, callsPerSecondMax } = config.gateway;
  const limiterOf = (perSecondMax: number, inFlightMax: number): HostLimiter =>
    createHostLimiter({
      reserve: async (host, waitMsMax) =>
        await reserveCall(db, host, { callsPerSecondMax: perSecondMax, waitMsMax }),
      inFlightMax,
    });
  return {
    oauthLimiter: limiterOf(oauthCallsPerSecondMax, oauthInFlightMax),
    // The concurrency of the queues bounds these calls in flight.
    callLimiter:
      callsPerSecondMax === undefined ? unlimited : limiterOf(callsPerSecondMax, Infinity),
  };
}
