import { z } from 'zod';
import { findAccessToken, type ReadAccessToken } from '../../db/access-tokens.ts';
import { findCredentialById } from '../../db/credentials.ts';
import type { CredentialRow } from '../../db/rows.ts';
import { isIdleState } from '../../domain/access-token.ts';
import { accessTokenTimes, accessTokenWaits } from '../../domain/access-token-times.ts';
import { Secret } from '../../security/secret.ts';
import { type ObtainedPair, pairPatch } from './pair.ts';
import { openIfReadable, tokenPlace } from '../row.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import { done, type Outcome } from '../../execution/define-job.ts';
import type { RenewalContext, RenewalIntent } from './context.ts';

/** A pair that came too late for its attempt, and the generation that it would have been. */
interface Candidate extends ObtainedPair {
  readonly generation: number;
}

/**
 * What becomes of the pair of an attempt that was overtaken. It never replaces a newer one: it is kept sealed beside it. Where whoever
 * overtook it has failed, or fails yet, it is the newest there is, and becomes the token.
 */
export async function keepCandidate(
  { row: intent, credential: called }: RenewalIntent,
  obtained: ObtainedPair,
  context: RenewalContext,
): Promise<Outcome> {
  const late: Candidate = { ...obtained, generation: intent.generation + 1 };
  return await retryOnStaleVersion(async () => {
    const present = await findAccessToken(context.db, intent.credential_id);
    const credential = await findCredentialById(context.db, intent.credential_id);
    if (present === undefined || credential?.state !== 'active') return done('credential_gone');
    if (credential.app_key_index !== called.app_key_index) return done('former_app');
    const kept = openCandidate(present, credential, context);
    const candidate = kept !== undefined && isNewer(kept, late) ? kept : late;
    if (isAdoptable(present, candidate, context)) return await adopt(present, candidate, context);
    if (candidate === kept) return done('overtaken');
    const outcome = await context.apply({
      entity: 'access_token',
      row: present,
      event: 'access_token.candidate_kept',
      patch: { candidate_sealed: seal(present.id, candidate, context) },
      audit: { reason: 'late_loser', detail: { generation: candidate.generation } },
    });
    return outcome.isApplied ? done('overtaken') : undefined;
  });
}

/** Makes the sealed pair of a late loser the token, where it is the newest there is; undefined where there is nothing to adopt. */
export async function adoptCandidate(
  credentialId: string,
  context: RenewalContext,
): Promise<Outcome | undefined> {
  const outcome = await retryOnStaleVersion(async () => {
    const row = await findAccessToken(context.db, credentialId);
    if (row?.candidate_sealed == null) return 'nothing';
    const credential = await findCredentialById(context.db, credentialId);
    const candidate = credential && openCandidate(row, credential, context);
    const isOver = candidate === undefined || !isAdoptable(row, candidate, context);
    return isOver ? 'nothing' : await adopt(row, candidate, context);
  });
  return outcome === 'nothing' ? undefined : outcome;
}

/** The sealed pair, where there is one of the application that the credential names; what can't be opened is none. */
function openCandidate(
  row: ReadAccessToken,
  { state, app_key_index: appKeyIndex, environment }: CredentialRow,
  { keyring }: Pick<RenewalContext, 'keyring'>,
): Candidate | undefined {
  const text = openIfReadable(keyring, 'candidate_sealed', row)?.reveal();
  const parsed = sealedCandidate.safeParse(text === undefined ? undefined : JSON.parse(text));
  if (!parsed.success || state !== 'active') return undefined;
  if (row.environment !== environment) return undefined;
  return parsed.data.appKeyIndex === appKeyIndex ? parsed.data : undefined;
}

function isNewer(one: Candidate, other: Candidate): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation;
  return one.startedAt > other.startedAt;
}

/** Whether nobody has, or may be about to have, a newer pair, and its access token is still good. */
function isAdoptable(
  row: ReadAccessToken,
  { generation, startedAt, pair }: Candidate,
  { settings }: Pick<RenewalContext, 'settings'>,
): boolean {
  if (row.generation + 1 !== generation || !isIdleState(row.state)) return false;
  const { expiresAt } = accessTokenTimes(startedAt, settings.accessToken, pair.expiresInMs, 0);
  return expiresAt > row.read_at;
}

async function adopt(
  row: ReadAccessToken,
  obtained: ObtainedPair,
  context: RenewalContext,
): Promise<Outcome | undefined> {
  const patch = pairPatch(row, obtained, context);
  const { spacingMs } = accessTokenWaits(context.settings.accessToken);
  // The call whose outcome nobody knows may have ended this very pair: it is renewed soon.
  const isDoubtful = row.state === 'ambiguous' || row.state === 'none';
  const soon = new Date(row.read_at.getTime() + spacingMs).toISOString();
  const outcome = await context.apply({
    entity: 'access_token',
    row,
    event: 'access_token.candidate_adopted',
    patch: {
      ...patch,
      candidate_sealed: null,
      ...(isDoubtful && soon < patch.due_at && { due_at: soon }),
    },
    audit: {
      reason: 'late_loser',
      detail: { generation: patch.generation, expiresAt: patch.expires_at },
    },
  });
  return outcome.isApplied ? done('candidate_adopted') : undefined;
}

const sealedSecret = z.string().transform((text) => new Secret(text));

const sealedCandidate = z.object({
  generation: z.int(),
  call: z.enum(['refresh', 'issue']),
  startedAt: z.coerce.date(),
  appKeyIndex: z.string().nullable(),
  pair: z.object({
    accessToken: sealedSecret,
    refreshToken: sealedSecret.optional(),
    expiresInMs: z.number().optional(),
  }),
});

function seal(
  rowId: string,
  { pair, ...candidate }: Candidate,
  { keyring }: Pick<RenewalContext, 'keyring'>,
): string {
  const text = JSON.stringify({
    ...candidate,
    pair: {
      accessToken: pair.accessToken.reveal(),
      refreshToken: pair.refreshToken?.reveal(),
      expiresInMs: pair.expiresInMs,
    },
  });
  return keyring.seal(tokenPlace('candidate_sealed', rowId), text);
}
