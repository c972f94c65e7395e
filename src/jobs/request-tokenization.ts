import { z } from 'zod';
import type { TokenizationRow } from '../db/rows.ts';
import { retryCommit } from '../db/connection/retry-commit.ts';
import { findTokenization } from '../db/tokenizations.ts';
import {
  tokenizationIdPayload,
  tokenizationRequestPayload,
} from '../domain/payload/job-payloads.ts';
import type { TokenizationState } from '../domain/tokenization.ts';
import { fieldsBeyondInferredLength } from '../domain/payload/inferred-lengths.ts';
import { exponential } from '../domain/retry-policy.ts';
import type { AcceptPaymentsAccount, CreateReply, QuickPayRequest } from '../gateway/client.ts';
import {
  acceptTokenization,
  draftTokenization,
  storeDraft,
} from '../tokenization/request/accept.ts';
import { activationPatch, reconcileAfterFailure, firstReconcileStep } from '../tokenization/row.ts';
import { backendJobAudit } from '../execution/backend-audit.ts';
import { defineJob, done, type JobContext, type Outcome, snooze } from '../execution/define-job.ts';
import { getAccountOf } from '../account/accounts.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/** The changes that the reply to a creation may lead to. */
const replyEvents = [
  'tokenization.redirect_issued',
  'tokenization.pending',
  'tokenization.activated',
  'tokenization.failed',
  'tokenization.outcome_unknown',
] as const;

type ReplyEvent = (typeof replyEvents)[number];

type UnknownReply = Extract<CreateReply, { kind: 'unknown' }>;

/**
 * The causes for which another creation would end the same way: the worker read the reply and
 * refused it.
 */
const refusedReplyCauses: ReadonlySet<UnknownReply['cause']> = new Set([
  'redirect_host',
  'reference_mismatch',
  'body_unreadable',
  'body_too_large',
]);

/**
 * `tokenization.request` asks the gateway for one QuickPay ID.
 *
 * The intent is committed before the request is sent. A worker that dies in between leaves the
 * state `submitting` with a lease. Once the lease expires, the scan sets the outcome to unknown and
 * a query settles it. This job never sends a request twice.
 */
export const requestTokenization = defineJob({
  name: 'tokenization.request',
  queue: 'tokenization',
  payload: z.union([tokenizationIdPayload, tokenizationRequestPayload]),
  retry: exponential({ attemptsMax: 8, baseMs: 1_000, capMs: 300_000 }),
  timeoutMs: 18_000,
  emits: ['tokenization.requested', 'tokenization.submitting', ...replyEvents],
  async run(payload, context) {
    if ('tokenizationId' in payload) {
      return await submitAccepted(
        await findTokenization(context.db, payload.tokenizationId),
        context,
      );
    }
    return await acceptAndSubmit(payload, context);
  },
});

/**
 * Accepts a request that a backend enqueued with its content, and sends it: one commit stores the
 * sealed request and the intent. On the queue, the row's id replaces the content while the gateway
 * answers.
 */
async function acceptAndSubmit(
  payload: z.output<typeof tokenizationRequestPayload>,
  context: SubmittingContext,
): Promise<Outcome> {
  const draft = await draftTokenization(context, payload);
  const account = draft.stored.open();
  const submitted = await withPermit(account, context, async () => {
    const intent = intentOf({ attempt: 0 }, context);
    const row = await storeDraft(context, draft, {
      audit: backendJobAudit(context.job),
      followedBy: [{ ...intent, audit: context.auditOf(intent.audit) }],
    });
    if (row === undefined) return undefined;
    const sealed = context.replacePayload({ v: 1, tokenizationId: row.id });
    // Awaited below, once the reply is committed.
    sealed.catch(() => undefined);
    const outcome = await send(row, account, draft.request, context);
    await sealed;
    return outcome;
  });
  if (submitted?.kind === 'done') return submitted;
  // The reference is known, the credential changed, or the host takes no call now.
  const { tokenization } = await acceptTokenization(context, payload, {
    audit: backendJobAudit(context.job),
    isContinuedByCaller: true,
  });
  await context.replacePayload({ v: 1, tokenizationId: tokenization.id });
  return submitted ?? (await submitAccepted(tokenization, context));
}

/** Sends a request that is sealed already. */
async function submitAccepted(
  tokenization: TokenizationRow | undefined,
  context: SubmittingContext,
): Promise<Outcome> {
  if (tokenization === undefined) return done('tokenization_gone');
  if (tokenization.state !== 'requested') return done('already_taken');
  const account = await getAccountOf(context, tokenization);
  return await withPermit(account, context, async () => {
    const change = intentOf(tokenization, context);
    const intent = await context.apply({ entity: 'tokenization', row: tokenization, ...change });
    if (!intent.isApplied) return done('already_taken');
    const { version } = intent;
    const { attempt } = change.patch;
    const row = { ...tokenization, version, state: 'submitting', attempt } as const;
    return await send(row, account, openQuickPayRequest(tokenization, context), context);
  });
}

type SubmittingContext = JobContext<ReplyEvent | 'tokenization.submitting'>;

/** Runs `submit` with a permit for one creation; snoozes while the host takes no call. */
async function withPermit<Result>(
  account: AcceptPaymentsAccount,
  { gateway, signal }: SubmittingContext,
  submit: () => Promise<Result>,
): Promise<Result | Outcome> {
  // Before the intent: a lease must not run while its owner waits for the rate limit.
  const permit = await gateway.acquireCreatePermit(account, { signal });
  if (permit.kind === 'retry_later') return snooze(permit.retryAfterMs, 'host_is_busy');
  try {
    return await submit();
  } finally {
    permit.release();
  }
}

/** The change that is committed before a request is sent. */
function intentOf(
  tokenization: Pick<TokenizationRow, 'attempt'>,
  { settings: { leaseMs } }: SubmittingContext,
) {
  const attempt = tokenization.attempt + 1;
  return {
    event: 'tokenization.submitting',
    patch: { attempt, lease_until_in_ms: leaseMs, reconcile_at_in_ms: leaseMs },
    audit: { detail: { attempt } },
  } as const;
}

/** Sends a request and commits what its reply leads to. */
async function send(
  row: TokenizationRow,
  account: AcceptPaymentsAccount,
  request: QuickPayRequest,
  context: SubmittingContext,
): Promise<Outcome> {
  const fields = fieldsBeyondInferredLength(request);
  if (fields.length > 0) {
    context.logger.warn(
      { tokenizationId: row.id, fields },
      'fields of a request are longer than the gateway probably takes; sent anyway',
    );
  }
  const { signal } = context;
  const call = { signal, subject: row.id };
  const reply = await context.gateway.createQuickPay(account, request, call);
  return await recordReply(row, reply, context);
}

type RequestContext = JobContext<ReplyEvent>;

function openQuickPayRequest(
  tokenization: TokenizationRow,
  { keyring }: RequestContext,
): QuickPayRequest {
  const sealed = keyring.open(
    sealedPlace('tokenization', 'request_sealed', tokenization.id),
    tokenization.request_sealed,
  );
  // `draftTokenization` sealed a request that it built from a parsed payload.
  const request = JSON.parse(sealed.reveal()) as QuickPayRequest;
  return { ...request, merchant: { referenceId: tokenization.gateway_reference } };
}

/**
 * Commits what a reply leads to. A reply that arrives after its lease expired still counts, because
 * it is the gateway's own word, while its attempt is still current. A commit that the database
 * refuses is repeated: only this process knows the reply.
 */
async function recordReply(
  row: TokenizationRow,
  reply: CreateReply,
  context: RequestContext,
): Promise<Outcome> {
  const { result, ...change } = replyChange(row, reply, context);
  if (reply.kind === 'unknown') logRefusedReply(row, reply, context);
  await retryCommit(async () => {
    for (let current = row; ;) {
      const { isApplied } = await context.apply({
        entity: 'tokenization',
        row: current,
        ...change,
      });
      if (isApplied) return;
      const present = await findTokenization(context.db, row.id);
      if (present?.attempt !== row.attempt) return;
      if (!replyStatesOf(change.event).includes(present.state)) return;
      current = present;
    }
  }, context.settings.leaseMs);
  return done(result);
}

/** The states in which the current attempt still waits for its reply. */
function replyStatesOf(event: ReplyEvent): readonly TokenizationState[] {
  return event === 'tokenization.outcome_unknown'
    ? ['submitting']
    : ['submitting', 'submit_unknown'];
}

/** The change that a reply leads to, and the job's result. */
function replyChange(row: TokenizationRow, reply: CreateReply, context: RequestContext) {
  const { settings } = context;
  switch (reply.kind) {
    case 'redirect':
      return {
        result: 'awaiting_customer',
        event: 'tokenization.redirect_issued',
        patch: {
          redirect_url: reply.url,
          order_reference_id: reply.orderReferenceId ?? null,
          lease_until: null,
          deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
          ...firstReconcileStep(settings),
        },
        audit: {
          channel: 'create_reply',
          detail: { redirectHost: new URL(reply.url).hostname },
        },
      } as const;
    case 'done':
      return immediateResultChange(row, reply, context);
    case 'refused':
      return {
        result: 'failed',
        event: 'tokenization.failed',
        patch: { lease_until: null, ...reconcileAfterFailure(row, settings) },
        audit: {
          channel: 'create_reply',
          reason: 'refused',
          gatewayCode: reply.gatewayCode,
          detail: { refusalScope: reply.scope },
        },
      } as const;
    case 'unknown':
      return outcomeUnknownChange(reply, context);
  }
}

/** A reply without a redirect address has the result itself. */
function immediateResultChange(
  row: TokenizationRow,
  reply: Extract<CreateReply, { kind: 'done' }>,
  context: RequestContext,
) {
  const detail = { rawStatus: reply.rawStatus };
  switch (reply.status) {
    case 'active':
      return {
        result: 'active',
        event: 'tokenization.activated',
        patch: activationPatch(context, row, { ...reply, needsExpiryQuery: true }),
        audit: { channel: 'create_reply', detail },
      } as const;
    case 'failed':
      return {
        result: 'failed',
        event: 'tokenization.failed',
        patch: { lease_until: null, ...reconcileAfterFailure(row, context.settings) },
        audit: { channel: 'create_reply', reason: 'status', detail },
      } as const;
    // The gateway has the request and wants no customer: it must not be sent again.
    default:
      return {
        result: 'confirming',
        event: 'tokenization.pending',
        patch: {
          order_reference_id: reply.orderReferenceId ?? null,
          lease_until: null,
          deadline_at_in_ms: context.settings.awaitingCustomerDeadlineMs,
          ...firstReconcileStep(context.settings),
        },
        audit: { channel: 'create_reply', detail },
      } as const;
  }
}

function outcomeUnknownChange({ cause }: UnknownReply, { settings }: RequestContext) {
  return {
    result: 'submit_unknown',
    event: 'tokenization.outcome_unknown',
    patch: {
      lease_until: null,
      lost_reply_cause: refusedReplyCauses.has(cause) ? cause : null,
      ...firstReconcileStep(settings),
    },
    audit: { channel: 'create_reply', reason: 'outcome_unknown', detail: { cause } },
  } as const;
}

function logRefusedReply(
  { id: tokenizationId }: TokenizationRow,
  { cause, refusedHost }: UnknownReply,
  { logger }: RequestContext,
): void {
  if (!refusedReplyCauses.has(cause)) return;
  logger.error(
    { tokenizationId, cause, refusedHost },
    'the worker refused the reply to a creation, and does not send the request again',
  );
}
