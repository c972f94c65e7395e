import { randomUUID } from 'node:crypto';
import pRetry from 'p-retry';
import { findAccessToken, type ReadAccessToken } from '../../db/access-tokens.ts';
import { findCredentialById } from '../../db/credentials.ts';
import { isDatabaseOutage } from '../../db/faults.ts';
import type { CredentialRow } from '../../db/rows.ts';
import { callFor } from '../../domain/access-token-renewal.ts';
import { adoptCandidate } from './late-pair.ts';
import {
  isLeased,
  belongsToPreviousApp,
  isRowNearlyOver,
  isTooSoon,
  noToken,
  openIfReadable,
} from '../row.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import { done, type Outcome } from '../../execution/define-job.ts';
import type { RenewalContext, RenewalChange, RenewalIntent } from './context.ts';

/**
 * Commits who is asking, what for and since when, before the network is used. An outcome where nothing is left to ask for: somebody else
 * is at it, has renewed this generation already, or came too late with a pair that is the newest there is.
 */
export async function writeIntent(
  { id }: Pick<CredentialRow, 'id'>,
  generation: number,
  context: RenewalContext,
): Promise<RenewalIntent | Outcome> {
  const { db, keyring, settings, workerId } = context;
  const { leaseMs } = settings.accessToken;
  return await retryOnStaleVersion<RenewalIntent | Outcome>(async () => {
    const row = await findAccessToken(db, id);
    if (row === undefined || row.generation !== generation) return leaseHeld;
    if (row.state === 'refreshing' || row.state === 'issuing') {
      if (isLeased(row)) return leaseHeld;
      await loseLease(row, context);
      return undefined;
    }
    const adopted = row.candidate_sealed && (await adoptCandidate(id, context));
    if (adopted) return adopted;
    // Read after the row: whoever changes the application changes the row after it, and this attempt is then stale or undone.
    const credential = await findCredentialById(db, id);
    if (credential?.state !== 'active') return leaseHeld;
    const isFormer = belongsToPreviousApp(row, credential);
    // Looked at once more: others may have tried while this one waited for its turn.
    if (!isFormer && isTooSoon(row, settings.accessToken)) return done('too_soon');
    const refreshToken = isFormer
      ? undefined
      : openIfReadable(keyring, 'refresh_token_sealed', row);
    const call = callFor({
      state: row.state,
      hasRefreshToken: refreshToken !== undefined,
      isNearlyOver: isRowNearlyOver(row),
      failures: row.failures,
    });
    if (call === undefined) return leaseHeld;
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
    if (written?.attempt_id !== attemptId) return leaseHeld;
    return { row: written, call, credential, refreshToken };
  });
}

const leaseHeld = done('lease_held');

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

const outageWaitMs = 250;
/** How long a worker that is stopping, or a job whose time is over, goes on trying. */
const stoppingMsMax = 5_000;

/**
 * Commits a change while the intent stands: same generation, same attempt. Other changes of the row (a counted hand-out, an alarm) move
 * its version without touching the intent, so a stale version alone does not end the attempt. Nor does an outage of the database before the
 * lease is over: what the gateway answered is known here and nowhere else.
 */
export async function applyFenced(
  intent: RenewalIntent,
  change: RenewalChange,
  context: RenewalContext,
): Promise<boolean> {
  const { leaseMs } = context.settings.accessToken;
  const begunAtMs = performance.now();
  const isInTime = (): boolean =>
    performance.now() - begunAtMs < (context.signal.aborted ? stoppingMsMax : leaseMs);
  return await pRetry(async () => await applyOnce(intent, change, context), {
    retries: Infinity,
    factor: 1,
    minTimeout: outageWaitMs,
    shouldRetry: ({ error }) => isDatabaseOutage(error) && isInTime(),
  });
}

async function applyOnce(
  { row: intent }: RenewalIntent,
  change: RenewalChange,
  context: RenewalContext,
): Promise<boolean> {
  for (let row = intent; ;) {
    const outcome = await context.apply({ ...change, entity: 'access_token', row });
    if (outcome.isApplied) return true;
    const present = await findAccessToken(context.db, intent.credential_id);
    if (present?.attempt_id !== intent.attempt_id) return false;
    // Nobody else moves this attempt: the change was committed, and its answer lost.
    if (present?.state !== intent.state) return true;
    row = present;
  }
}
