import type { TokenizationRow } from '../../db/rows.ts';
import type { AuditDetail } from '../../domain/audit-entry.ts';
import { givenReference } from '../../domain/given-reference.ts';
import { requestGraceMs, requestJob } from '../../domain/outbox-job.ts';
import { committed, done, type JobContext, type Outcome } from '../../execution/define-job.ts';
import type { Answer } from '../../gateway/answer.ts';
import { firstReconcileStep } from '../row.ts';

type ResubmitContext = { readonly now: Date } & JobContext<
  | 'reconcile.pending'
  | 'reconcile.exhausted'
  | 'tokenization.resubmitted'
  | 'tokenization.redirect_lost'
>;

/**
 * An answer about a request whose reply was lost. `none`: the gateway does not know the request.
 * `pending`: it waits for a customer, but the URL of the page was in the lost reply.
 */
type LostAnswer = Answer & { readonly says: 'none' | 'pending' };

/**
 * Records that a request was lost, or its page. After two such answers, far enough apart for a late
 * record or a late result to appear, the worker sends the request again, or the policy decides.
 * Where only one of the two says `pending`, the gateway may have the request, so that counts.
 */
export async function recordLostAnswer(
  row: TokenizationRow,
  latest: LostAnswer,
  context: ResubmitContext,
): Promise<Outcome> {
  const { lostAnswerSpacingMs } = context.settings;
  const { lost_answer: before, lost_answer_at: firstAt } = row;
  const isFirst = before === null || before === 'unreadable' || firstAt === null;
  const answer: LostAnswer = before === 'pending' ? { ...latest, says: 'pending' } : latest;
  const sinceMs = isFirst ? 0 : context.now.getTime() - firstAt.getTime();
  if (!isFirst && sinceMs >= lostAnswerSpacingMs) {
    return isResubmittable(row, answer, context)
      ? await resubmit(row, answer, context)
      : await report(row, answer, context);
  }
  const isNew = before !== answer.says;
  const isDue = row.reconcile_at !== null && row.reconcile_at <= context.now;
  if (!isNew && !isDue) return done(`${answer.says}_again`);
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.pending',
    patch: {
      ...(isNew ? { lost_answer: answer.says } : {}),
      ...(isFirst ? { lost_answer_at_in_ms: 0 } : {}),
      reconcile_at_in_ms: Math.ceil(lostAnswerSpacingMs - sinceMs),
    },
    audit: auditOf(latest),
  });
  return done(`${answer.says}_once`);
}

/**
 * If the gateway has the request and the worker refused its reply, another creation would get the
 * same reply.
 */
function isResubmittable(
  row: TokenizationRow,
  { says }: LostAnswer,
  { settings }: ResubmitContext,
): boolean {
  const { resubmitPolicy, resubmissionsMax } = settings;
  const isAllowed = resubmitPolicy !== 'manual' && row.attempt <= resubmissionsMax;
  return isAllowed && (says === 'none' || row.lost_reply_cause === null);
}

/**
 * Sends the request again. Under its own reference only where the gateway does not know it: a
 * creation that exists would refuse its reference, or give no second URL.
 */
async function resubmit(
  row: TokenizationRow,
  answer: LostAnswer,
  context: ResubmitContext,
): Promise<Outcome> {
  const { resubmitPolicy } = context.settings;
  const isRenamed = resubmitPolicy === 'new-reference' || answer.says === 'pending';
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.resubmitted',
    patch: {
      gateway_reference: isRenamed
        ? givenReference(row.merchant_reference_id, row.attempt + 1, row.id)
        : row.gateway_reference,
      abandoned_references: isRenamed
        ? [...row.abandoned_references, row.gateway_reference]
        : row.abandoned_references,
      lost_answer: null,
      lost_answer_at: null,
      // The cause belonged to the previous attempt.
      lost_reply_cause: null,
      reconcile_step: 0,
      reconcile_at_in_ms: requestGraceMs,
    },
    audit: {
      ...auditOf(answer, { resubmitPolicy }),
      reason: answer.says === 'pending' ? 'redirect_lost' : 'abandoned_ambiguous',
    },
    jobs: [requestJob(row.id, row.version + 1)],
  });
  return done('resubmitted');
}

/** Tells the merchant and an operator, because the request must not be sent again. */
async function report(
  row: TokenizationRow,
  answer: LostAnswer,
  context: ResubmitContext,
): Promise<Outcome> {
  return answer.says === 'pending'
    ? await reportLostRedirect(row, answer, context)
    : await leaveToOperator(row, answer, context);
}

/**
 * Tells the merchant that no customer has the page. The gateway may have the request, so the
 * queries go on until its deadline.
 */
export async function reportLostRedirect(
  row: TokenizationRow,
  answer: Answer,
  context: ResubmitContext,
  reason?: 'answer_unreadable',
): Promise<Outcome> {
  const { settings } = context;
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.redirect_lost',
    patch: {
      order_reference_id: answer.record?.orderReferenceId ?? row.order_reference_id,
      review: 'redirect_lost',
      lost_answer: null,
      lost_answer_at: null,
      deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
      ...firstReconcileStep(settings),
    },
    audit: { ...auditOf(answer, reportDetail(row, context)), reason },
  });
  return committed(outcome, 'redirect_lost');
}

async function leaveToOperator(
  row: TokenizationRow,
  answer: LostAnswer,
  context: ResubmitContext,
): Promise<Outcome> {
  // A message may have caused this query; the operator is notified once only.
  if (row.review === 'lost_request' && row.reconcile_at === null) return done('left_to_operator');
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.exhausted',
    patch: { reconcile_at: null, review: 'lost_request' },
    audit: auditOf(answer, reportDetail(row, context)),
  });
  return done('left_to_operator');
}

/** Why the request is not sent again. */
function reportDetail(
  { attempt, lost_reply_cause: cause }: TokenizationRow,
  context: ResubmitContext,
) {
  const { resubmitPolicy } = context.settings;
  return { resubmitPolicy, attempt, ...(cause === null ? {} : { cause }) };
}

function auditOf({ says, word, gatewayCode }: Answer, detail: AuditDetail = {}) {
  const query = says === 'unknown' ? word : says;
  return { channel: 'query', gatewayCode, detail: { query, ...detail } } as const;
}
