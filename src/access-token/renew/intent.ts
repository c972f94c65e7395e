import { randomUUID } from 'node:crypto';
import { findAccessToken, type ReadAccessToken } from '../../db/access-tokens.ts';
import { findCredentialById } from '../../db/credentials.ts';
import type { CredentialRow } from '../../db/rows.ts';
import { belongsToPreviousApp, isTooSoon, leaseLeftMs, noToken } from '../row.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import { done, type Outcome } from '../../execution/define-job.ts';
import type { RenewalContext, RenewalChange, RenewalIntent } from './context.ts';
import { openCall } from './open-call.ts';

/**
 * Commits the intent of a call, with its lease, before the network is used. Gives an outcome where
 * no call is to be made: another worker holds the lease, or the generation is renewed already.
 * Throws `key_unknown`, and then commits nothing.
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
      if (leaseLeftMs(row) > 0) return leaseHeld;
      await loseLease(row, context);
      return undefined;
    }
    // A change of the application is committed to the credential first and to this row second. Read
    // in the opposite order, either the row is stale here, or its change undoes this attempt.
    const credential = await findCredentialById(db, id);
    if (credential?.state !== 'active') return leaseHeld;
    const isOfPreviousApp = belongsToPreviousApp(row, credential);
    // Another job may have renewed the token while this one waited for its permit.
    if (!isOfPreviousApp && isTooSoon(row, settings.accessToken)) return done('too_soon');
    // Before the intent: a worker that can't make the call must not take the lease.
    const opened = openCall(row, credential, keyring);
    if (opened === undefined) return leaseHeld;
    const attemptId = randomUUID();
    const outcome = await context.apply({
      entity: 'access_token',
      row,
      event: `access_token.${opened.call}_intent`,
      patch: {
        ...(isOfPreviousApp && { ...noToken, app_key_index: credential.app_key_index }),
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
    return { row: written, credential, ...opened };
  });
}

const leaseHeld = done('lease_held');

/** Whether this is the first attempt since the last token. */
function isFirstAttempt({ state, renewing_since: since }: ReadAccessToken): boolean {
  return since === null || state === 'fresh';
}

/**
 * Ends the attempt of a worker whose lease expired: the worker died, or its call took too long. The
 * attempt counts as a failure, so that a call that kills every worker raises an alarm.
 */
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
 * Commits a change while the intent stands: same generation, same attempt. False where another
 * worker took the lease over. Other changes of the row, such as an alarm, move its version and
 * leave the attempt: the change is then applied again.
 */
export async function applyFenced(
  { row: intent }: RenewalIntent,
  change: RenewalChange,
  context: RenewalContext,
): Promise<boolean> {
  for (let row = intent; ;) {
    const outcome = await context.apply({ ...change, entity: 'access_token', row });
    if (outcome.isApplied) return true;
    const present = await findAccessToken(context.db, intent.credential_id);
    if (present?.attempt_id !== intent.attempt_id) return false;
    // Only this worker changes the state of its attempt: the change was committed and the answer
    // lost.
    if (present?.state !== intent.state) return true;
    row = present;
  }
}
