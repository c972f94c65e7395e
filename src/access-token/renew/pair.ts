import { findAccessToken } from '../../db/access-tokens.ts';
import { retryCommit } from '../../db/connection/retry-commit.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import { accessTokenTimes } from '../../domain/access-token-times.ts';
import type { RenewalEvent } from '../../domain/access-token-renewal.ts';
import { done, type Outcome } from '../../execution/define-job.ts';
import type { AccessTokenReply } from '../../gateway/client.ts';
import type { Secret } from '../../security/secret.ts';
import { tokenPlace } from '../row.ts';
import type { RenewalContext, RenewalIntent } from './context.ts';
import { applyFenced } from './intent.ts';

/** A pair of tokens from the gateway. */
type TokenPair = Extract<AccessTokenReply, { kind: 'done' }>;

/** Commits a pair as the next generation. A pair whose attempt is over is dropped. */
export async function commitPair(
  intent: RenewalIntent,
  event: RenewalEvent,
  pair: TokenPair,
  context: RenewalContext,
): Promise<Outcome> {
  const patch = pairPatch(intent, pair, context);
  const { generation, expires_at: expiresAt } = patch;
  const change = { event, patch, audit: { detail: { generation, expiresAt } } };
  const isApplied = await retryCommit(
    async () => await applyFenced(intent, change, context),
    context.settings.accessToken.leaseMs,
  );
  if (isApplied) return done(intent.call === 'refresh' ? 'refreshed' : 'issued');
  return await recordLatePair(intent, generation, context);
}

/** The columns of a row that holds the pair. */
function pairPatch(
  { row, call, credential }: RenewalIntent,
  pair: TokenPair,
  { keyring, settings, random }: RenewalContext,
) {
  const startedAt = row.attempt_started_at ?? row.read_at;
  const times = accessTokenTimes(startedAt, settings.accessToken, pair.expiresInMs, random());
  const seal = (column: 'access_token_sealed' | 'refresh_token_sealed', token: Secret): string =>
    keyring.seal(tokenPlace(column, row.id), token.reveal());
  return {
    generation: row.generation + 1,
    access_token_sealed: seal('access_token_sealed', pair.accessToken),
    // A gateway that does not rotate sends no new refresh token; then the old one stays valid, but
    // not after a create.
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
    app_key_index: credential.app_key_index,
  };
}

/**
 * Records that a pair came too late, and nothing of the pair. Whether the gateway still honours it
 * depends on the call that overtook it, which is unknown here. The next renewal calls the gateway
 * again, and a create always works.
 */
async function recordLatePair(
  { row: { credential_id: credentialId } }: RenewalIntent,
  generation: number,
  context: RenewalContext,
): Promise<Outcome> {
  const record = async (): Promise<Outcome | undefined> => {
    const row = await findAccessToken(context.db, credentialId);
    if (row === undefined) return done('overtaken');
    const { isApplied } = await context.apply({
      entity: 'access_token',
      row,
      event: 'access_token.late_reply',
      audit: { reason: 'overtaken', detail: { generation } },
    });
    return isApplied ? done('overtaken') : undefined;
  };
  return await retryCommit(
    async () => await retryOnStaleVersion(record),
    context.settings.accessToken.leaseMs,
  );
}
