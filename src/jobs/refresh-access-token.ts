import { findAccessToken, type ReadAccessToken } from '../db/access-tokens.ts';
import { findCredential, findCredentialById } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import { decideOnReply, type NextStep } from '../domain/access-token-renewal.ts';
import {
  accessTokenWaits,
  otherCallWaitMs,
  renewalBackoffMs,
  suspendedWaitMs,
} from '../domain/access-token-times.ts';
import { errorCodeOf } from '../domain/errors.ts';
import { accessTokenRefreshPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import type { AccessTokenReply } from '../gateway/client.ts';
import { retryCommit } from '../db/connection/retry-commit.ts';
import { applyFenced, writeIntent } from '../access-token/renew/intent.ts';
import { commitPair } from '../access-token/renew/pair.ts';
import {
  registerAccessToken,
  clearForRemovedCredential,
  retryAccessToken,
} from '../access-token/registration.ts';
import {
  belongsToPreviousApp,
  isRowNearlyExpired,
  isTooSoon,
  leaseLeftMs,
} from '../access-token/row.ts';
import { cancel, defineJob, done, type Outcome, snooze } from '../execution/define-job.ts';
import { refreshJob } from '../domain/outbox-job.ts';
import {
  renewalEvents,
  type RenewalContext,
  type RenewalIntent,
} from '../access-token/renew/context.ts';

/**
 * `access-token.refresh` renews one access token ahead of its expiry.
 *
 * One owner per credential: the intent, with a lease, is one compare-and-set, committed before the
 * network is used. The result is committed only while that intent stands; a pair that comes later
 * is recorded and dropped. Which call is made, and what its reply leads to, are tables in
 * `src/domain/access-token-renewal.ts`. Readers get the current token throughout.
 */
export const refreshAccessToken = defineJob({
  name: 'access-token.refresh',
  queue: 'access-token',
  payload: accessTokenRefreshPayload,
  retry: exponential({ attemptsMax: 5, baseMs: 1_000, capMs: 30_000 }),
  timeoutMs: 24_000,
  // After the scan, which raises the alarms and orders tokens by need.
  priority: 10,
  emits: renewalEvents,
  async run({ credential: name, generation }, context) {
    const credential = await findCredential(context.db, name, 'opcard');
    if (credential === undefined) return cancel('credential_not_found', ['credential']);
    if (credential.state !== 'active') return await clearRemoved(credential, context);
    const row = await findOrRegister(credential, context);
    if (row === undefined) return done('not_registered');
    if (generation !== undefined && row.generation !== generation) return done('already_renewed');
    if (belongsToPreviousApp(row, credential)) {
      // The call under way is for the previous application. If its pair commits, no scan finds the
      // token due for most of its life, so this job itself waits for the end of the lease.
      if (leaseLeftMs(row) > 0) return snooze(leaseLeftMs(row), 'former_app');
    } else if (isTooSoon(row, context.settings.accessToken)) return done('too_soon');
    return await renew(credential, row, context);
  },
});

/**
 * A credential is removed with its last job, which clears the token if the removal crashed before
 * it could.
 */
async function clearRemoved(credential: CredentialRow, context: RenewalContext): Promise<Outcome> {
  await clearForRemovedCredential(context, credential, { type: 'worker', id: context.workerId });
  return done('credential_removed');
}

/**
 * A credential is committed with its first job, its access token after it; a crash in between is
 * repaired here.
 */
async function findOrRegister(
  credential: CredentialRow,
  context: RenewalContext,
): Promise<ReadAccessToken | undefined> {
  const found = await findAccessToken(context.db, credential.id);
  if (found !== undefined) return found;
  await registerAccessToken(context, credential, { type: 'worker', id: context.workerId });
  return await findAccessToken(context.db, credential.id);
}

/** The most calls in one run: a refresh that is refused, then the create that follows. */
const callsMax = 2;

async function renew(
  credential: CredentialRow,
  row: ReadAccessToken,
  context: RenewalContext,
): Promise<Outcome> {
  let outcome: Outcome | 'issue_now' = 'issue_now';
  for (let calls = 0; outcome === 'issue_now' && calls < callsMax; calls += 1) {
    const permit = await context.gateway.acquireOauthPermit(credential.environment, {
      signal: context.signal,
      isUrgent: isUrgent(row),
    });
    if (permit.kind === 'retry_later') return leaveToScan(row, permit.retryAfterMs, 'host_is_busy');
    try {
      outcome = await renewOnce(credential, row.generation, context);
    } catch (error) {
      if (errorCodeOf(error) !== 'key_unknown') throw error;
      return leaveToOtherWorkers(credential, row, error, context);
    } finally {
      permit.release();
    }
  }
  return outcome === 'issue_now' ? done('refused_twice') : outcome;
}

/**
 * Whether readers wait for the token, or soon will. A token whose renewal fails has no precedence
 * over others.
 */
function isUrgent(row: ReadAccessToken): boolean {
  return row.expires_at !== null && row.failures === 0 && isRowNearlyExpired(row);
}

/**
 * The next scan enqueues due tokens by urgency, so the job of such a token is dropped; no scan
 * would enqueue the others.
 */
function leaveToScan(
  { due_at: dueAt, read_at: now }: ReadAccessToken,
  retryAfterMs: number,
  reason: string,
): Outcome {
  const isDue = dueAt !== null && dueAt <= now;
  return isDue ? done('deferred_to_scan') : snooze(retryAfterMs, reason);
}

/**
 * Another worker may have the encryption key that this one lacks. The fault uses up no attempt: the
 * dead letter of a job would keep the scan from enqueuing its token again.
 */
function leaveToOtherWorkers(
  { name: credential }: CredentialRow,
  row: ReadAccessToken,
  error: unknown,
  { logger, settings }: RenewalContext,
): Outcome {
  logger.error(
    { credential, error },
    'this worker lacks the encryption key to renew an access token; it leaves the token to others',
  );
  const { expiredCapMs } = accessTokenWaits(settings.accessToken);
  return leaveToScan(row, expiredCapMs, 'key_unknown');
}

async function renewOnce(
  credential: CredentialRow,
  generation: number,
  context: RenewalContext,
): Promise<Outcome | 'issue_now'> {
  if (context.signal.aborted) return snooze(0, 'no_time_left');
  const intent = await writeIntent(credential, generation, context);
  if ('kind' in intent) return intent;
  const reply = await callGateway(intent, context);
  const { event, next } = decideOnReply(intent.call, reply.kind, intent.row.failures === 0);
  return reply.kind === 'done'
    ? await commitPair(intent, event, reply, context)
    : await commitFailure(intent, reply, { event, next }, context);
}

async function callGateway(
  intent: RenewalIntent,
  { gateway, signal }: RenewalContext,
): Promise<AccessTokenReply> {
  const call = { signal, subject: intent.row.credential_id };
  return intent.call === 'refresh'
    ? await gateway.refreshAccessToken(intent.credential, intent.refreshToken, call)
    : await gateway.createAccessToken(intent.app, call);
}

/**
 * Commits what a reply without a pair leads to; `issue_now` where a create has to follow at once.
 */
async function commitFailure(
  intent: RenewalIntent,
  reply: Exclude<AccessTokenReply, { kind: 'done' }>,
  { event, next }: ReturnType<typeof decideOnReply>,
  context: RenewalContext,
): Promise<Outcome | 'issue_now'> {
  const { row, credential } = intent;
  const gatewayCode = reply.kind === 'refused' ? reply.gatewayCode : undefined;
  const cause = reply.kind === 'unknown' ? reply.cause : undefined;
  const isStopping = cause === 'aborted';
  // A worker that stops ends its own call, which says nothing about the gateway.
  const failures = row.failures + (isStopping || next === 'issue_now' ? 0 : 1);
  const waitMs = waitAfter(isStopping ? 'retry_soon' : next, row, failures, context);
  const retry = {
    ...refreshJob(row.id, row.version + 1, credential.name, row.generation),
    delayMs: waitMs,
  };
  const change = {
    event,
    patch: {
      failures,
      lease_owner: null,
      lease_until: null,
      due_at_in_ms: waitMs,
      // A refused refresh token never works again.
      ...(next === 'issue_now' && { refresh_token_sealed: null }),
    },
    audit: {
      gatewayCode,
      ...(next === 'suspend' && { reason: 'create_refused' }),
      ...(cause !== undefined && { reason: 'outcome_unknown' }),
      detail: { generation: row.generation, attempt: failures, ...(cause && { cause }) },
    },
    ...(next === 'retry_soon' && { jobs: [retry] }),
  };
  const commit = async (): Promise<boolean> => await applyFenced(intent, change, context);
  // A stopping worker has no reply to save: it tries once, and otherwise lets its lease expire.
  const { leaseMs } = context.settings.accessToken;
  const isApplied = isStopping ? await commit() : await retryCommit(commit, leaseMs);
  if (!isApplied) return done('overtaken');
  if (next === 'issue_now') return 'issue_now';
  return next === 'suspend'
    ? await reportSuspended(credential, gatewayCode, context)
    : done('outcome_unknown');
}

async function reportSuspended(
  credential: CredentialRow,
  gatewayCode: string | undefined,
  context: RenewalContext,
): Promise<Outcome> {
  if (await retryIfReplaced(credential, context)) return done('credential_replaced');
  context.logger.error(
    { credential: credential.name, code: 'gateway_refused', gatewayCode },
    'the gateway refuses this credential; the worker suspends the renewal of its access token',
  );
  return done('suspended');
}

/**
 * Makes the next attempt due at once where the credential was replaced while the gateway refused
 * the previous one. A replacement looks for a suspended token only after its own commit, so one of
 * the two sees the other.
 */
async function retryIfReplaced(
  { id, version }: CredentialRow,
  context: RenewalContext,
): Promise<boolean> {
  const present = await findCredentialById(context.db, id);
  if (present?.state !== 'active' || present.version === version) return false;
  await retryAccessToken(context, present, { type: 'worker', id: context.workerId });
  return true;
}

function waitAfter(
  next: NextStep,
  row: ReadAccessToken,
  failures: number,
  { settings, random }: RenewalContext,
): number {
  const waits = accessTokenWaits(settings.accessToken);
  const leftMs = (row.expires_at?.getTime() ?? 0) - row.read_at.getTime();
  switch (next) {
    case 'finish':
    case 'issue_now':
      return 0;
    case 'retry_soon':
      return waits.backoffBaseMs;
    case 'suspend':
      // A refresh token that was not refused is tried next, since the two calls alternate.
      return row.refresh_token_sealed === null
        ? suspendedWaitMs(waits, leftMs)
        : otherCallWaitMs(waits, failures);
    case 'back_off':
      return renewalBackoffMs(waits, failures, leftMs, random());
  }
}
