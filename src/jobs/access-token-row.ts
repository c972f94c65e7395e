import type { OutboxJob } from '../db/transition-door.ts';
import { jobId } from '../domain/ids.ts';
import type { SealedPlace } from '../security/keyring.ts';

/** The place that a sealed value of an access-token row is bound to. */
export function tokenPlace(
  column: 'access_token_sealed' | 'refresh_token_sealed' | 'candidate_sealed',
  rowId: string,
): SealedPlace {
  return { table: 'access_token', column, rowId };
}

/** The job that renews generation `generation` of a credential's token; `version` is the row's. */
export function refreshJob(
  rowId: string,
  version: number,
  credential: string,
  generation: number,
  delayMs = 0,
): OutboxJob {
  return {
    queue: 'access-token',
    name: 'access-token.refresh',
    jobId: jobId('refresh', rowId, version),
    payload: { v: 1, credential, generation },
    delayMs,
  };
}
