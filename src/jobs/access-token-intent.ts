import { randomUUID } from 'node:crypto';
import { findAccessToken, type ReadAccessToken } from '../db/access-tokens.ts';
import { findCredentialById } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import { callFor, type RenewalCall } from '../domain/access-token-renewal.ts';
import { isNearlyOver } from '../domain/access-token-times.ts';
import { adoptCandidate } from './access-token-candidate.ts';
import { isLeased, isOfFormerApp, noToken } from './access-token-row.ts';
import { applyToPresentRow } from './apply-to-present-row.ts';
import { done, type JobContext, type Outcome } from './define-job.ts';

/** The changes that a renewal may commit. */
export const renewalEvents = [
  'access_token.lease_lost',
  'access_token.refresh_intent',
  'access_token.refreshed',
  'access_token.refresh_unknown',
  'access_token.refresh_rejected',
  'access_token.issue_intent',
  'access_token.issued',
  'access_token.issue_unknown',
  'access_token.suspended',
  'access_token.candidate_kept',
  'access_token.candidate_adopted',
] as const;

/** What a renewal works with. */
export type RenewalContext = JobContext<(typeof renewalEvents)[number]>;
/** One change of the row whose renewal is under way. */
export type RenewalChange = Omit<Parameters<RenewalContext['apply']>[0], 'entity' | 'row'>;

/** An intent that stands: the row as it was committed, with the call that it is about. */
export interface RenewalIntent {
  readonly row: ReadAccessToken;
  readonly call: RenewalCall;
  /** The credential as it was when the intent was committed: the one to call with. */
  readonly credential: CredentialRow;
}

/**
 * Commits who is asking, what for and since when, before the network is used. An outcome where nothing is left to ask for: somebody else
 * is at it, has renewed this generation already, or came too late with a pair that is the newest there is.
 */
export async function writeIntent(
  { id }: Pick<CredentialRow, 'id'>,
  generation: number,
  context: RenewalContext,
): Promise<RenewalIntent | Outcome> {
  const { db, settings, workerId } = context;
  const { leaseMs } = settings.accessToken;
  return await applyToPresentRow<RenewalIntent | Outcome>(async () => {
    const row = await findAccessToken(db, id);
    if (row === undefined || row.generation !== generation) return notOurs;
    if (row.state === 'refreshing' || row.state === 'issuing') {
      if (isLeased(row)) return notOurs;
      await loseLease(row, context);
      return undefined;
    }
    const adopted = row.candidate_sealed && (await adoptCandidate(id, context));
    if (adopted) return adopted;
    // Read after the row: whoever changes the application changes the row after it, and this attempt is then stale or undone.
    const credential = await findCredentialById(db, id);
    if (credential?.state !== 'active') return notOurs;
    const isFormer = isOfFormerApp(row, credential);
    const call = callFor({
      state: row.state,
      hasRefreshToken: row.refresh_token_sealed !== null && !isFormer,
      isNearlyOver: isRowNearlyOver(row),
    });
    if (call === undefined) return notOurs;
    const attemptId = randomUUID();
    const outcome = await context.apply({
      entity: 'access_token',
      row,
      event: `access_token.${call}_intent`,
      patch: {
        ...(isFormer && { ...noToken, app_key_index: credential.app_key_index }),
        environment: credential.environment,
        attempt_id: attemptId,
        attempt_started_at_in_ms: 0,
        lease_owner: workerId,
        lease_until_in_ms: leaseMs,
        due_at_in_ms: leaseMs,
        ...(isFirstAttempt(row) && { renewing_since_in_ms: 0 }),
      },
      audit: { detail: { generation: row.generation } },
    });
    if (!outcome.isApplied) return undefined;
    const written = await findAccessToken(db, id);
    return written?.attempt_id === attemptId ? { row: written, call, credential } : notOurs;
  });
}

const notOurs = done('somebody_else_is_at_it');

function isRowNearlyOver({
  issued_at: issuedAt,
  expires_at: expiresAt,
  read_at: now,
}: ReadAccessToken): boolean {
  if (issuedAt === null || expiresAt === null) return true;
  return isNearlyOver(
    expiresAt.getTime() - now.getTime(),
    expiresAt.getTime() - issuedAt.getTime(),
  );
}

/** Whether nobody has tried since the last token; a process of an older version leaves the instant of a former renewal. */
function isFirstAttempt({ state, renewing_since: since }: ReadAccessToken): boolean {
  return since === null || state === 'fresh';
}

/** An owner that died over its call is a failure like any other, or a call that kills every owner would never be noticed. */
async function loseLease(row: ReadAccessToken, context: RenewalContext): Promise<void> {
  const failures = row.failures + 1;
  await context.apply({
    entity: 'access_token',
    row,
    event: 'access_token.lease_lost',
    patch: { lease_owner: null, lease_until: null, attempt_id: null, due_at_in_ms: 0, failures },
    audit: { reason: 'lease_over', detail: { generation: row.generation, attempt: failures } },
  });
}

/**
 * Commits a change while the intent stands: same generation, same attempt. Other changes of the row (a counted hand-out, an alarm) move
 * its version without touching the intent, so a stale version alone does not end the attempt, however often: what is not committed here is
 * a pair that only the gateway knows besides.
 */
export async function applyFenced(
  { row: intent }: RenewalIntent,
  change: RenewalChange,
  context: RenewalContext,
): Promise<boolean> {
  let row = intent;
  return await applyToPresentRow(async () => {
    const outcome = await context.apply({ ...change, entity: 'access_token', row });
    if (outcome.isApplied) return true;
    const present = await findAccessToken(context.db, intent.credential_id);
    const stands =
      present?.attempt_id === intent.attempt_id &&
      present?.generation === intent.generation &&
      present.state === intent.state;
    if (!stands) return false;
    row = present;
    return undefined;
  }, Infinity);
}
