import type { ReadAccessToken } from '../../db/access-tokens.ts';
import type { RenewalCall } from '../../domain/access-token-renewal.ts';
import { accessTokenTimes } from '../../domain/access-token-times.ts';
import type { AccessTokenReply } from '../../gateway/client.ts';
import type { Secret } from '../../security/secret.ts';
import { tokenPlace } from '../row.ts';
import type { JobDependencies } from '../../execution/dependencies.ts';

/** A pair that the gateway gave. */
export type TokenPair = Partial<Omit<GivenPair, 'accessToken'>> & Pick<GivenPair, 'accessToken'>;
type GivenPair = Omit<Extract<AccessTokenReply, { kind: 'done' }>, 'kind'>;

/** A pair, and what it came of. */
export interface ObtainedPair {
  readonly pair: TokenPair;
  readonly call: RenewalCall;
  /** When its call began, on the database's clock. */
  readonly startedAt: Date;
  /** Index of the application that was called. */
  readonly appKeyIndex: string | null;
}

/** What a row becomes with a pair as its next generation. */
export function pairPatch(
  { id, generation }: ReadAccessToken,
  { pair, call, startedAt, appKeyIndex }: ObtainedPair,
  { keyring, settings, random }: Pick<JobDependencies, 'keyring' | 'settings' | 'random'>,
) {
  const times = accessTokenTimes(startedAt, settings.accessToken, pair.expiresInMs, random());
  const seal = (column: 'access_token_sealed' | 'refresh_token_sealed', token: Secret): string =>
    keyring.seal(tokenPlace(column, id), token.reveal());
  return {
    generation: generation + 1,
    access_token_sealed: seal('access_token_sealed', pair.accessToken),
    // A gateway that does not rotate sends no new refresh token; then the old one stays good, unless a create has begun anew.
    ...((pair.refreshToken !== undefined || call === 'issue') && {
      refresh_token_sealed: pair.refreshToken
        ? seal('refresh_token_sealed', pair.refreshToken)
        : null,
    }),
    issued_at: startedAt.toISOString(),
    expires_at: times.expiresAt.toISOString(),
    due_at: times.dueAt.toISOString(),
    lease_owner: null,
    lease_until: null,
    failures: 0,
    alarm_percent: null,
    renewing_since: null,
    app_key_index: appKeyIndex,
  };
}
