import type { ReadAccessToken } from '../db/access-tokens.ts';
import type { AccessTokenRow, CredentialRow } from '../db/rows.ts';
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

/** What a row holds without a token, whatever it held before. */
export const noToken = {
  access_token_sealed: null,
  refresh_token_sealed: null,
  candidate_sealed: null,
  issued_at: null,
  expires_at: null,
  failures: 0,
  alarm_percent: null,
  renewing_since: null,
} as const;

/** Whether somebody holds the row. */
export function isLeased({ lease_until: leaseUntil, read_at: now }: ReadAccessToken): boolean {
  return leaseUntil !== null && leaseUntil > now;
}

/** Whether what the row holds is of another application than the credential now names; the first intent forgets it. */
export function isOfFormerApp(
  row: Pick<AccessTokenRow, 'app_key_index'>,
  credential: Pick<CredentialRow, 'app_key_index'>,
): boolean {
  return row.app_key_index !== credential.app_key_index;
}

/**
 * The job that renews a credential's token, with `generation` only while that one is the present one. `id` and `version` are those of the row
 * that it is committed with: the token's, or the credential's.
 */
export function refreshJob(
  id: string,
  version: number,
  credential: string,
  generation?: number,
  delayMs = 0,
): OutboxJob {
  return {
    queue: 'access-token',
    name: 'access-token.refresh',
    jobId: jobId('refresh', id, version),
    payload: { v: 1, credential, ...(generation === undefined ? {} : { generation }) },
    delayMs,
  };
}
