import { openOpcard } from '../../account/open-account.ts';
import type { ReadAccessToken } from '../../db/access-tokens.ts';
import type { CredentialRow } from '../../db/rows.ts';
import { callFor } from '../../domain/access-token-renewal.ts';
import { errorCodeOf } from '../../domain/errors.ts';
import type { OpcardApp } from '../../gateway/client.ts';
import type { Keyring } from '../../security/keyring.ts';
import type { Secret } from '../../security/secret.ts';
import { belongsToPreviousApp, isRowNearlyExpired, tokenPlace } from '../row.ts';

/** A call that renews a token, and the secret that it sends. */
export type OpenedCall =
  | { readonly call: 'refresh'; readonly refreshToken: Secret }
  | { readonly call: 'issue'; readonly app: OpcardApp };

/**
 * Opens what the next call of a row needs; undefined while a call is under way. Throws
 * `key_unknown` where this worker lacks the encryption key, and another one may have it.
 */
export function openCall(
  row: ReadAccessToken,
  credential: CredentialRow,
  keyring: Keyring,
): OpenedCall | undefined {
  const refreshToken = belongsToPreviousApp(row, credential)
    ? undefined
    : openRefreshToken(row, keyring);
  const call = callFor({
    state: row.state,
    hasRefreshToken: refreshToken !== undefined,
    isNearlyExpired: isRowNearlyExpired(row),
    failures: row.failures,
  });
  if (call === undefined) return undefined;
  return call === 'refresh' && refreshToken !== undefined
    ? { call, refreshToken }
    : { call: 'issue', app: openOpcard(keyring, credential) };
}

/**
 * The refresh token; undefined where a create has to replace it. Workers with its key have until
 * the last tenth of the access token's life to use it; from then on it counts as lost.
 */
function openRefreshToken(row: ReadAccessToken, keyring: Keyring): Secret | undefined {
  const { id, refresh_token_sealed: sealed } = row;
  if (sealed === null) return undefined;
  try {
    return keyring.open(tokenPlace('refresh_token_sealed', id), sealed);
  } catch (error) {
    const code = errorCodeOf(error);
    const isLost = code === 'seal_broken' || (code === 'key_unknown' && isRowNearlyExpired(row));
    if (isLost) return undefined;
    throw error;
  }
}
