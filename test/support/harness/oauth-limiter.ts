import type { Config } from '../../../src/config/config.ts';
import type { Db } from '../../../src/db/database.ts';
import { reserveCall } from '../../../src/db/host-rate-limit.ts';
import { createHostLimiter, type HostLimiter } from '../../../src/gateway/host-limiter.ts';
import { oauthCallsInFlightMax } from '../../../src/job-settings.ts';

/** The limiter of OAuth calls, as a worker process has it. */
export function createOauthLimiter(
  db: Db,
  config: Config,
  inFlightMax = oauthCallsInFlightMax(config),
): HostLimiter {
  const { oauthCallsPerSecondMax: callsPerSecondMax } = config.gateway;
  return createHostLimiter({
    reserve: async (host, waitMsMax) =>
      await reserveCall(db, host, { callsPerSecondMax, waitMsMax }),
    inFlightMax,
  });
}
