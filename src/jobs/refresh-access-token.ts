import { randomUUID } from 'node:crypto';
import { findAccessToken } from '../db/access-tokens.ts';
import { databaseNow } from '../db/database.ts';
import { findCredential } from '../db/credentials.ts';
import type { AccessTokenRow, CredentialRow } from '../db/rows.ts';
import { accessTokenTimes } from '../domain/access-token.ts';
import { AppError } from '../domain/errors.ts';
import { accessTokenRefreshPayload } from '../domain/job-payloads.ts';
import { backoffMs, exponential } from '../domain/retry-policy.ts';
import type { AccessTokenReply } from '../gateway/client.ts';
import type { Secret } from '../security/secret.ts';
import { defineJob, done, type JobContext, type Outcome } from './define-job.ts';
import { openOpcard } from './gateway-accounts.ts';

/** Waits after an answer that never came: growing, so that a gateway that is down is not hammered. */
const unknownBackoff = exponential({ attemptsMax: 1_000, baseMs: 2_000, capMs: 60_000 });
/** A credential that the gateway refuses is tried again only now and then; an operator has to look. */
const suspendedRetryMs = 30 * 60_000;

/**
 * `access-token.refresh` renews one access token ahead of its expiry.
 *
 * One owner per credential: the intent, with a lease, is one compare-and-set, committed before the network is used. The result is committed
 * only if that intent still stands; a pair that arrives too late is kept sealed as a candidate and never overwrites a
 * newer one. Readers use the present token all the while.
 */
export const refreshAccessToken = defineJob({
  name: 'access-token.refresh',
  queue: 'access-token',
  payload: accessTokenRefreshPayload,
  retry: exponential({ attemptsMax: 5, baseMs: 1_000, capMs: 30_000 }),
  timeoutMs: 24_000,
  emits: [
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
  ],
  async run({ credential: name, generation }, context) {
    const credential = await getOpcard(name, context);
    const found = await findAccessToken(context.db, credential.id);
    if (found === undefined) return done('not_registered');
    if (generation !== undefined && found.generation !== generation) return done('already_renewed');
    const row = await claimable(found, context);
    if (row === undefined) return done('leased_elsewhere');

    const isRefreshable =
      (row.state === 'fresh' || row.state === 'ambiguous') && row.refresh_token_sealed !== null;
    return isRefreshable
      ? await refresh(row, credential, context)
      : await issue(row, credential, context);
  },
});

type Context = JobContext<
  | 'access_token.lease_lost'
  | 'access_token.refresh_intent'
  | 'access_token.refreshed'
  | 'access_token.refresh_unknown'
  | 'access_token.refresh_rejected'
  | 'access_token.issue_intent'
  | 'access_token.issued'
  | 'access_token.issue_unknown'
  | 'access_token.suspended'
  | 'access_token.candidate_kept'
>;

type Call = 'refresh' | 'issue';
type Pair = Extract<AccessTokenReply, { kind: 'done' }>;

async function getOpcard(name: string, { db }: Context): Promise<CredentialRow> {
  const credential = await findCredential(db, name, 'opcard');
  if (credential === undefined || credential.state !== 'active') {
    throw new AppError('credential_not_found', 'No active OPCard credential has this name.', {
      paths: ['credential'],
    });
  }
  return credential;
}

/** The row, free of any lease that has run out; undefined while somebody else holds it. */
async function claimable(
  row: AccessTokenRow,
  context: Context,
): Promise<AccessTokenRow | undefined> {
  if (row.state !== 'refreshing' && row.state !== 'issuing') return row;
  const now = await databaseNow(context.db);
  if (row.lease_until !== null && row.lease_until > now) return undefined;
  const outcome = await context.apply({
    entity: 'access_token',
    row,
    event: 'access_token.lease_lost',
    patch: { lease_owner: null, lease_until: null, attempt_id: null, due_at_in_ms: 0 },
    audit: { reason: 'lease_over', detail: { generation: row.generation } },
  });
  if (!outcome.isApplied) return undefined;
  const state = row.state === 'refreshing' ? 'ambiguous' : 'none';
  return { ...row, state, version: outcome.version };
}

async function refresh(
  row: AccessTokenRow,
  credential: CredentialRow,
  context: Context,
): Promise<Outcome> {
  const intent = await writeIntent(row, 'refresh', context);
  if (intent === undefined) return done('leased_elsewhere');
  const sealed = row.refresh_token_sealed ?? '';
  const reply = await context.gateway.refreshAccessToken(
    context.keyring.open(placeOf('refresh_token_sealed', row.id), sealed),
    { signal: context.signal },
  );
  if (reply.kind === 'done') return await commitPair(intent, reply, 'refresh', context);
  if (reply.kind === 'unknown') return await backOff(intent, reply.cause, 'refresh', context);

  const outcome = await context.apply({
    entity: 'access_token',
    row: intent,
    event: 'access_token.refresh_rejected',
    patch: { refresh_token_sealed: null, lease_until: null, lease_owner: null },
    audit: { gatewayCode: reply.gatewayCode, detail: { generation: row.generation } },
  });
  if (!outcome.isApplied) return done('overtaken');
  // The app key alone is enough to start over, so a rejected refresh is no dead end.
  const rejected = { ...intent, state: 'rejected' as const, version: outcome.version };
  return await issue({ ...rejected, refresh_token_sealed: null }, credential, context);
}

async function issue(
  row: AccessTokenRow,
  credential: CredentialRow,
  context: Context,
): Promise<Outcome> {
  const intent = await writeIntent(row, 'issue', context);
  if (intent === undefined) return done('leased_elsewhere');
  const reply = await context.gateway.createAccessToken(openOpcard(context.keyring, credential), {
    signal: context.signal,
  });
  if (reply.kind === 'done') return await commitPair(intent, reply, 'issue', context);
  if (reply.kind === 'unknown') return await backOff(intent, reply.cause, 'issue', context);
  await context.apply({
    entity: 'access_token',
    row: intent,
    event: 'access_token.suspended',
    patch: { lease_until: null, lease_owner: null, due_at_in_ms: suspendedRetryMs },
    audit: { reason: 'create_refused', gatewayCode: reply.gatewayCode },
  });
  context.logger.error(
    { credential: credential.name, code: 'gateway_refused' },
    'the gateway refuses this credential; its access token is suspended',
  );
  return done('suspended');
}

/** Commits who is asking, and since when, before the network is used. */
async function writeIntent(
  row: AccessTokenRow,
  call: Call,
  context: Context,
): Promise<AccessTokenRow | undefined> {
  const attemptId = randomUUID();
  const outcome = await context.apply({
    entity: 'access_token',
    row,
    event: call === 'refresh' ? 'access_token.refresh_intent' : 'access_token.issue_intent',
    patch: {
      attempt_id: attemptId,
      attempt_started_at_in_ms: 0,
      lease_owner: context.workerId,
      lease_until_in_ms: context.settings.leaseMs,
      due_at_in_ms: context.settings.leaseMs,
    },
    audit: { detail: { generation: row.generation } },
  });
  if (!outcome.isApplied) return undefined;
  const written = await findAccessToken(context.db, row.credential_id);
  return written?.attempt_id === attemptId ? written : undefined;
}

/** Commits a new pair, fenced by the intent that asked for it. */
async function commitPair(
  intent: AccessTokenRow,
  pair: Pair,
  call: Call,
  context: Context,
): Promise<Outcome> {
  const { keyring, settings } = context;
  const startedAt = intent.attempt_started_at ?? new Date();
  const times = accessTokenTimes(
    startedAt,
    settings.accessToken,
    pair.expiresInMs,
    context.random(),
  );
  const generation = intent.generation + 1;
  const outcome = await context.apply({
    entity: 'access_token',
    row: intent,
    event: call === 'refresh' ? 'access_token.refreshed' : 'access_token.issued',
    patch: {
      generation,
      access_token_sealed: seal('access_token_sealed', pair.accessToken),
      // A gateway that does not rotate sends no new refresh token; then the old one stays good.
      ...(pair.refreshToken && {
        refresh_token_sealed: seal('refresh_token_sealed', pair.refreshToken),
      }),
      issued_at: startedAt.toISOString(),
      expires_at: times.expiresAt.toISOString(),
      due_at: times.dueAt.toISOString(),
      lease_owner: null,
      lease_until: null,
      failures: 0,
    },
    audit: { detail: { generation, expiresAt: times.expiresAt.toISOString() } },
  });
  if (outcome.isApplied) return done(call === 'refresh' ? 'refreshed' : 'issued');
  return await keepCandidate(intent, pair, context);

  function seal(column: SealedColumn, token: Secret): string {
    return keyring.seal(placeOf(column, intent.id), token.reveal());
  }
}

async function keepCandidate(
  intent: AccessTokenRow,
  pair: Pair,
  context: Context,
): Promise<Outcome> {
  const present = await findAccessToken(context.db, intent.credential_id);
  if (present === undefined) return done('credential_gone');
  const candidate = JSON.stringify({
    generation: intent.generation + 1,
    accessToken: pair.accessToken.reveal(),
    refreshToken: pair.refreshToken?.reveal(),
  });
  const outcome = await context.apply({
    entity: 'access_token',
    row: present,
    event: 'access_token.candidate_kept',
    patch: {
      candidate_sealed: context.keyring.seal(placeOf('candidate_sealed', present.id), candidate),
    },
    audit: { reason: 'late_loser', detail: { generation: intent.generation + 1 } },
  });
  if (!outcome.isApplied) throw new AppError('stale_version', 'A late pair could not be kept.');
  return done('overtaken');
}

async function backOff(
  intent: AccessTokenRow,
  cause: string,
  call: Call,
  context: Context,
): Promise<Outcome> {
  const failures = intent.failures + 1;
  await context.apply({
    entity: 'access_token',
    row: intent,
    event: call === 'refresh' ? 'access_token.refresh_unknown' : 'access_token.issue_unknown',
    patch: {
      failures,
      lease_owner: null,
      lease_until: null,
      due_at_in_ms: backoffMs(unknownBackoff, failures, context.random()),
    },
    audit: {
      reason: 'outcome_unknown',
      detail: { cause, attempt: failures, generation: intent.generation },
    },
  });
  return done('outcome_unknown');
}

type SealedColumn = 'access_token_sealed' | 'refresh_token_sealed' | 'candidate_sealed';

function placeOf(
  column: SealedColumn,
  rowId: string,
): { table: string; column: string; rowId: string } {
  return { table: 'access_token', column, rowId };
}
