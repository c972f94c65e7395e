import type { ReadAccessToken } from '../db/access-tokens.ts';
import type { AccessTokenRow, CredentialRow } from '../db/rows.ts';
import {
  type AccessTokenLife,
  accessTokenWaits,
  isNearlyExpired,
} from '../domain/access-token-times.ts';
import type { SealedPlace } from '../security/keyring.ts';

/** The place that a sealed value of an access-token row is bound to. */
export function tokenPlace(
  column: 'access_token_sealed' | 'refresh_token_sealed',
  rowId: string,
): SealedPlace {
  return { table: 'access_token', column, rowId };
}

/**
 * Whether a renewal has to wait: a lease or a back-off is not over, or the token is so young that
 * its caller probably asks for renewals in a loop.
 */
export function isTooSoon(row: ReadAccessToken, life: Pick<AccessTokenLife, 'ttlMs'>): boolean {
  const { state, due_at: dueAt, read_at: now } = row;
  if (dueAt === null || dueAt <= now) return false;
  return state !== 'fresh' || now.getTime() < oldEnoughAtMs(row, life);
}

/**
 * The instant from which a token is renewed on request. A token that was issued in the future,
 * because the database's clock was set back since, counts as issued now.
 */
export function oldEnoughAtMs(
  { issued_at: issuedAt, read_at: now }: ReadAccessToken,
  life: Pick<AccessTokenLife, 'ttlMs'>,
): number {
  const issuedAtMs = Math.min(issuedAt?.getTime() ?? 0, now.getTime());
  return issuedAtMs + accessTokenWaits(life).backoffCapMs;
}

/** Whether at most a tenth of the token's life is left, or there is no token. */
export function isRowNearlyExpired({
  issued_at: issuedAt,
  expires_at: expiresAt,
  read_at: now,
}: ReadAccessToken): boolean {
  if (issuedAt === null || expiresAt === null) return true;
  return isNearlyExpired(
    expiresAt.getTime() - now.getTime(),
    expiresAt.getTime() - issuedAt.getTime(),
  );
}

/** The columns of a row without a token. */
export const noToken = {
  access_token_sealed: null,
  refresh_token_sealed: null,
  issued_at: null,
  expires_at: null,
  failures: 0,
  alarm_percent: null,
  renewing_since: null,
} as const;

/** Milliseconds until the row's lease is over; 0 or less where it is not leased. */
export function leaseLeftMs({ lease_until: leaseUntil, read_at: now }: ReadAccessToken): number {
  return leaseUntil === null ? 0 : leaseUntil.getTime() - now.getTime();
}

/** Whether the row's token is of another application than the credential now names. */
export function belongsToPreviousApp(
  row: Pick<AccessTokenRow, 'app_key_index' | 'environment'>,
  credential: Pick<CredentialRow, 'app_key_index' | 'environment'>,
): boolean {
  // The digest of an app key may be the same in both environments.
  return (
    row.app_key_index !== credential.app_key_index || row.environment !== credential.environment
  );
}
