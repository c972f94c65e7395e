import { z } from 'zod';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import {
  tokenizationIdPayload,
  tokenizationRequestPayload,
} from '../domain/payload/job-payloads.ts';
import { fieldsBeyondInferredLength } from '../domain/payload/inferred-lengths.ts';
import { exponential } from '../domain/retry-policy.ts';
import type { AcceptPaymentsAccount, QuickPayRequest } from '../gateway/client.ts';
import {
  acceptTokenization,
  draftTokenization,
  storeDraft,
} from '../tokenization/request/accept.ts';
import { recordReply, replyEvents } from '../tokenization/outcome/record-reply.ts';
import { backendJobAudit } from '../execution/backend-audit.ts';
import { defineJob, done, type JobContext, type Outcome, snooze } from '../execution/define-job.ts';
import { getAccountOf } from '../account/accounts.ts';
import { sealedPlace } from '../db/sealed-place.ts';

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

type SubmittingContext = JobContext<(typeof replyEvents)[number] | 'tokenization.submitting'>;

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

function openQuickPayRequest(
  tokenization: TokenizationRow,
  { keyring }: SubmittingContext,
): QuickPayRequest {
  const sealed = keyring.open(
    sealedPlace('tokenization', 'request_sealed', tokenization.id),
    tokenization.request_sealed,
  );
  // `draftTokenization` sealed a request that it built from a parsed payload.
  const request = JSON.parse(sealed.reveal()) as QuickPayRequest;
  return { ...request, merchant: { referenceId: tokenization.gateway_reference } };
}
