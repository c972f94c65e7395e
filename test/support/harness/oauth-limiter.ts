import { createCallLimiters } from '../../../src/call-limiters.ts';
import type { Config } from '../../../src/config/config.ts';
import type { Db } from '../../../src/db/connection/database.ts';
import type { HostLimiter } from '../../../src/gateway/host-limiter.ts';

/** The limiter of OAuth calls, as a worker process has it. */
export function createOauthLimiter(db: Db, config: Config, inFlightMax?: number): HostLimiter {
  return createCallLimiters(config, db, inFlightMax).oauthLimiter;
}
