import { z } from 'zod';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { tokenizationIdPayload, tokenizationRequestPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import type { CreateReply, QuickPayRequest } from '../gateway/client.ts';
import { acceptTokenization } from '../tokenization/request/accept.ts';
import { activation, reconcileAfterFailure, firstReconcileStep } from '../tokenization/row.ts';
import { defineJob, done, type JobContext, type Outcome } from '../execution/define-job.ts';
import { getAccountOf } from '../account/open-account.ts';
import { sealedPlace } from '../db/sealed-place.ts';
/**
 * `tokenization.request` asks the gateway for one QuickPay ID.
 *
 * The intent is committed before the request leaves. A process that dies in between leaves the state `submitting` with a
 * lease that runs out, which the scan reads as "outcome unknown" and settles by a query. This job never sends twice.
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
      openRequest(tokenization, context),
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

type Context = JobContext<
  | 'tokenization.redirect_issued'
  | 'tokenization.activated'
  | 'tokenization.failed'
  | 'tokenization.outcome_unknown'
>;

/** A payload with content becomes a sealed row, and the content leaves the queue. */
async function findOrAccept(
  payload: z.output<typeof tokenizationIdPayload> | z.output<typeof tokenizationRequestPayload>,
  context: Context,
): Promise<TokenizationRow | undefined> {
  if ('tokenizationId' in payload)
    return await findTokenization(context.db, payload.tokenizationId);
  const { tokenization } = await acceptTokenization(context, payload, {
    audit: {
      actor: { type: 'backend', id: 'queue' },
      queue: context.job.queue,
      jobId: context.job.id,
      attempt: context.job.attempt,
    },
    isContinuedByCaller: true,
  });
  await context.replacePayload({ v: 1, tokenizationId: tokenization.id });
  return tokenization;
}

function openRequest(tokenization: TokenizationRow, { keyring }: Context): QuickPayRequest {
  const sealed = keyring.open(
    sealedPlace('tokenization', 'request_sealed', tokenization.id),
    tokenization.request_sealed,
  );
  // What was sealed is what `acceptTokenization` built from a parsed payload.
  const request = JSON.parse(sealed.reveal()) as QuickPayRequest;
  return { ...request, merchant: { referenceId: tokenization.gateway_reference } };
}

async function recordReply(
  row: TokenizationRow,
  reply: CreateReply,
  context: Context,
): Promise<Outcome> {
  const { settings } = context;
  const apply = commitReply(row, context);
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
      return await recordResult(row, reply, context);
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
      await apply(outcomeUnknown(row, reply.cause, context));
      return done('submit_unknown');
  }
}

/** A reply without an address carries the result itself. */
async function recordResult(
  row: TokenizationRow,
  reply: Extract<CreateReply, { kind: 'done' }>,
  context: Context,
): Promise<Outcome> {
  const apply = commitReply(row, context);
  if (reply.status === 'active') {
    await apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.activated',
      ...activation(context, row, { ...reply, isEndAsked: true }),
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
  await apply(outcomeUnknown(row, `status_${reply.status}`, context));
  return done('submit_unknown');
}

/**
 * Commits what a reply leads to. A reply that comes after its lease was given up still counts, first hand as it is, while
 * nothing else has happened to the same attempt.
 */
function commitReply(row: TokenizationRow, context: Context): Context['apply'] {
  return async (change) => {
    const outcome = await context.apply(change);
    if (outcome.isApplied || change.event === 'tokenization.outcome_unknown') return outcome;
    const present = await findTokenization(context.db, row.id);
    const isSameAttempt = present?.state === 'submit_unknown' && present.attempt === row.attempt;
    return isSameAttempt ? await context.apply({ ...change, row: present }) : outcome;
  };
}

function outcomeUnknown(row: TokenizationRow, cause: string, { settings }: Context) {
  return {
    entity: 'tokenization',
    row,
    event: 'tokenization.outcome_unknown',
    patch: { lease_until: null, ...firstReconcileStep(settings) },
    audit: { channel: 'create_reply', reason: 'outcome_unknown', detail: { cause } },
  } as const;
}
