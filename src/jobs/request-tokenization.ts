import { z } from 'zod';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { tokenizationIdPayload, tokenizationRequestPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import type { CreateReply, QuickPayRequest } from '../gateway/client.ts';
import { acceptTokenization } from '../tokenization/request/accept.ts';
import { activationPatch, reconcileAfterFailure, firstReconcileStep } from '../tokenization/row.ts';
import { backendJobAudit } from '../execution/backend-audit.ts';
import { defineJob, done, type JobContext, type Outcome } from '../execution/define-job.ts';
import { getAccountOf } from '../account/open-account.ts';
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
  emits: [
    'tokenization.requested',
    'tokenization.submitting',
    'tokenization.redirect_issued',
    'tokenization.activated',
    'tokenization.failed',
    'tokenization.outcome_unknown',
  ],
  async run(payload, context) {
    const tokenization = await findOrAccept(payload, context);
    if (tokenization === undefined) return done('tokenization_gone');
    if (tokenization.state !== 'requested') return done('already_taken');

    const account = await getAccountOf(context, tokenization);
    const intent = await context.apply({
      entity: 'tokenization',
      row: tokenization,
      event: 'tokenization.submitting',
      patch: {
        attempt: tokenization.attempt + 1,
        lease_until_in_ms: context.settings.leaseMs,
        reconcile_at_in_ms: context.settings.leaseMs,
      },
      audit: { detail: { attempt: tokenization.attempt + 1 } },
    });
    if (!intent.isApplied) return done('already_taken');

    const reply = await context.gateway.createQuickPay(
      account,
      openQuickPayRequest(tokenization, context),
      {
        signal: context.signal,
      },
    );
    const submitted = {
      ...tokenization,
      version: intent.version,
      state: 'submitting' as const,
      attempt: tokenization.attempt + 1,
    };
    return await recordReply(submitted, reply, context);
  },
});

type RequestContext = JobContext<
  | 'tokenization.redirect_issued'
  | 'tokenization.activated'
  | 'tokenization.failed'
  | 'tokenization.outcome_unknown'
>;

/**
 * A payload with the request's content becomes a sealed row; then the row's id replaces it on the
 * queue.
 */
async function findOrAccept(
  payload: z.output<typeof tokenizationIdPayload> | z.output<typeof tokenizationRequestPayload>,
  context: RequestContext,
): Promise<TokenizationRow | undefined> {
  if ('tokenizationId' in payload)
    return await findTokenization(context.db, payload.tokenizationId);
  const { tokenization } = await acceptTokenization(context, payload, {
    audit: backendJobAudit(context.job),
    isContinuedByCaller: true,
  });
  await context.replacePayload({ v: 1, tokenizationId: tokenization.id });
  return tokenization;
}

function openQuickPayRequest(
  tokenization: TokenizationRow,
  { keyring }: RequestContext,
): QuickPayRequest {
  const sealed = keyring.open(
    sealedPlace('tokenization', 'request_sealed', tokenization.id),
    tokenization.request_sealed,
  );
  // `acceptTokenization` sealed a request that it built from a parsed payload.
  const request = JSON.parse(sealed.reveal()) as QuickPayRequest;
  return { ...request, merchant: { referenceId: tokenization.gateway_reference } };
}

async function recordReply(
  row: TokenizationRow,
  reply: CreateReply,
  context: RequestContext,
): Promise<Outcome> {
  const { settings } = context;
  const apply = applyEvenIfLate(row, context);
  switch (reply.kind) {
    case 'redirect':
      await apply({
        entity: 'tokenization',
        row,
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
      });
      return done('awaiting_customer');
    case 'done':
      return await recordImmediateResult(row, reply, context);
    case 'refused':
      await apply({
        entity: 'tokenization',
        row,
        event: 'tokenization.failed',
        patch: { lease_until: null, ...reconcileAfterFailure(row, context.settings) },
        audit: { channel: 'create_reply', reason: 'refused', gatewayCode: reply.gatewayCode },
      });
      return done('failed');
    case 'unknown':
      await apply(outcomeUnknownChange(row, reply.cause, context));
      return done('submit_unknown');
  }
}

/** A reply without a redirect address has the result itself. */
async function recordImmediateResult(
  row: TokenizationRow,
  reply: Extract<CreateReply, { kind: 'done' }>,
  context: RequestContext,
): Promise<Outcome> {
  const apply = applyEvenIfLate(row, context);
  if (reply.status === 'active') {
    await apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.activated',
      patch: activationPatch(context, row, { ...reply, needsExpiryQuery: true }),
      audit: { channel: 'create_reply', detail: { rawStatus: reply.rawStatus } },
    });
    return done('active');
  }
  if (reply.status === 'failed') {
    await apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.failed',
      patch: { lease_until: null, ...reconcileAfterFailure(row, context.settings) },
      audit: { channel: 'create_reply', reason: 'status', detail: { rawStatus: reply.rawStatus } },
    });
    return done('failed');
  }
  await apply(outcomeUnknownChange(row, `status_${reply.status}`, context));
  return done('submit_unknown');
}

/**
 * Returns an `apply` for the changes of a reply. A reply that arrives after its lease expired still
 * counts, because it is the gateway's own word, while its attempt is still the current one.
 */
function applyEvenIfLate(row: TokenizationRow, context: RequestContext): RequestContext['apply'] {
  return async (change) => {
    const outcome = await context.apply(change);
    if (outcome.isApplied || change.event === 'tokenization.outcome_unknown') return outcome;
    const present = await findTokenization(context.db, row.id);
    const isSameAttempt = present?.state === 'submit_unknown' && present.attempt === row.attempt;
    return isSameAttempt ? await context.apply({ ...change, row: present }) : outcome;
  };
}

function outcomeUnknownChange(row: TokenizationRow, cause: string, { settings }: RequestContext) {
  return {
    entity: 'tokenization',
    row,
    event: 'tokenization.outcome_unknown',
    patch: { lease_until: null, ...firstReconcileStep(settings) },
    audit: { channel: 'create_reply', reason: 'outcome_unknown', detail: { cause } },
  } as const;
}
