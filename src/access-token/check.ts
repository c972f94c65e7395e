import { randomUUID } from 'node:crypto';
import { findAccessTokenTroubles } from '../db/access-tokens.ts';
import type { Db } from '../db/connection/database.ts';
import type { CredentialEnvironment } from '../domain/credential.ts';
import type { GatewayClient } from '../gateway/client.ts';
import { Secret } from '../security/secret.ts';
import type { AccountCheck } from '../account/check-account.ts';

const meanings = {
  suspended:
    'the gateway refuses the app key and secret, so there is no new access token: correct them with "credentials rotate"',
  none: 'there is no access token: is a process with the role "worker" up, and does the gateway answer?',
  run_out:
    'the access token has expired: is a process with the role "worker" up, and does the gateway answer?',
} as const;

/**
 * The problems of the access tokens of active credentials, one sentence for each kind, or one
 * sentence that says that there are none.
 */
export async function checkAccessTokens(db: Db): Promise<readonly AccountCheck[]> {
  const troubles = await findAccessTokenTroubles(db);
  if (troubles.length === 0) {
    return [{ isGood: true, sentence: 'every OPCard credential has a valid access token' }];
  }
  return troubles.map(({ trouble, count, names }) => {
    const more = count > names.length ? ` and ${count - names.length} more` : '';
    const quoted = names.map((name) => `"${name}"`).join(', ');
    return { isGood: false, sentence: `${quoted}${more}: ${meanings[trouble]}` };
  });
}

/**
 * Calls the OAuth base of an environment with a made-up refresh token. The call creates no token
 * and revokes none.
 */
export async function checkOauthPlace(
  gateway: Pick<GatewayClient, 'refreshAccessToken'>,
  environment: CredentialEnvironment,
): Promise<AccountCheck> {
  const reply = await gateway.refreshAccessToken(
    { environment },
    new Secret(`doctor-${randomUUID()}`),
  );
  if (reply.kind !== 'unknown') {
    return { isGood: true, sentence: `the gateway answers OAuth calls (${environment})` };
  }
  return {
    isGood: false,
    sentence: `the gateway gave no clear answer to an OAuth call (${environment}, ${reply.cause}): look at OCEANPAYMENT_OPEN_API_URL, HTTPS_PROXY and the network`,
  };
}
