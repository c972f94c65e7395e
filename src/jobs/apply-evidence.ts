import type { CallbackRow, TokenizationRow } from '../db/rows.ts';
import type { OutboxJob } from '../db/transition-door.ts';
import { jobId } from '../domain/ids.ts';
import type { CallbackMessage } from '../gateway/callback-message.ts';
import { activation, isSameQuickpayId, quickpayIndex } from './activation.ts';
import { done, type JobContext, type Outcome, snooze } from './define-job.ts';

/** A message that was found readable and about this tokenization. */
export interface Evidence {
  readonly callback: CallbackRow;
  readonly message: CallbackMessage;
  /** Whether its signature proves the sender (rank 2), or it may only trigger a query (rank 1 and below). */
  readonly isProven: boolean;
}

type Context = JobContext<
  | 'evidence.accepted'
  | 'evidence.pending'
  | 'tokenization.activated'
  | 'tokenization.failed'
  | 'conflict.second_token'
  | 'conflict.failed_after_success'
>;

/** How soon to look again while our own request is still on its way. */
const inFlightDelayMs = 1_000;

/**
 * Lets evidence work on a tokenization. What it says is believed only as far as its rank goes: unproven evidence makes
 * the worker ask the gateway and changes nothing else.
 */
export async function applyEvidence(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  if (row.state === 'requested' || row.state === 'submitting') {
    return snooze(inFlightDelayMs, 'request_in_flight');
  }
  const { status } = evidence.message.fields;
  if (row.state === 'active') return await judgeAfterSuccess(evidence, row, context);
  if (row.state === 'failed' || row.state === 'expired') {
    return status === '1' ? await askGateway(evidence, row, context) : done('already_settled');
  }
  if (row.state === 'disabling' || row.state === 'disabled' || row.state === 'token_expired') {
    return done('already_settled');
  }
  if (status === '1') return await acceptSuccess(evidence, row, context);
  if (status === '-1') return await acceptPending(evidence, row, context);
  return await acceptFailure(evidence, row, context);
}

async function acceptSuccess(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  const { quickpayId, orderReferenceId } = evidence.message.fields;
  const isEnough =
    evidence.isProven &&
    evidence.callback.channel === 'notify' &&
    context.settings.confirmPolicy === 'signed';
  if (isEnough && quickpayId !== undefined) {
    const outcome = await context.apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.activated',
      ...activation(context, row, { quickpayId, orderReferenceId }),
      audit: auditOf(evidence),
    });
    return outcome.isApplied ? done('active') : snooze(inFlightDelayMs, 'overtaken');
  }
  return await askGateway(evidence, row, context);
}

/** A browser alone fails nothing, and neither does an unproven push: both make the worker ask. */
async function acceptFailure(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  if (
    evidence.isProven &&
    evidence.callback.channel === 'notify' &&
    row.state === 'awaiting_customer'
  ) {
    const outcome = await context.apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.failed',
      patch: { lease_until: null, reconcile_at: null },
      audit: { ...auditOf(evidence), reason: 'notified' },
    });
    return outcome.isApplied ? done('failed') : snooze(inFlightDelayMs, 'overtaken');
  }
  return await askGateway(evidence, row, context);
}

async function acceptPending(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  if (row.is_deadline_extended || row.deadline_at === null) return done('still_pending');
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: 'evidence.pending',
    patch: {
      is_deadline_extended: true,
      deadline_at_in_ms: context.settings.awaitingCustomerDeadlineMs,
    },
    audit: { ...auditOf(evidence), detail: { deadlineExtended: true } },
  });
  return outcome.isApplied ? done('deadline_extended') : snooze(inFlightDelayMs, 'overtaken');
}

/** Evidence is accepted once; while its query is under way, more of it adds nothing. */
async function askGateway(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  if (row.state === 'confirming') {
    await context.enqueue([confirmJob(row.id, row.version)]);
    return done('already_confirming');
  }
  const { quickpayId, orderReferenceId } = evidence.message.fields;
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: 'evidence.accepted',
    patch: {
      order_reference_id: row.order_reference_id ?? orderReferenceId ?? null,
      evidence_index: quickpayId === undefined ? null : quickpayIndex(context.keyring, quickpayId),
      reconcile_step: 0,
      reconcile_at_in_ms: context.settings.reconcileScheduleMs[0] ?? 0,
    },
    audit: auditOf(evidence),
    jobs: [confirmJob(row.id, row.version + 1)],
  });
  return outcome.isApplied ? done('asking') : snooze(inFlightDelayMs, 'overtaken');
}

async function judgeAfterSuccess(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  const { status, quickpayId } = evidence.message.fields;
  if (status === '-1') return done('already_settled');
  const isSame =
    quickpayId === undefined ||
    row.quickpay_id_index === null ||
    isSameQuickpayId(context.keyring, quickpayId, row.quickpay_id_index);
  if (status === '1' && isSame) return done('already_active');
  // Anyone can send a browser with "failed"; only a proven sender makes a person look at a token that works.
  if (status !== '1' && !evidence.isProven) return done('unproven_after_success');
  if (row.review !== null) return done('already_in_review');
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: status === '1' ? 'conflict.second_token' : 'conflict.failed_after_success',
    patch: { review: status === '1' ? 'second_token' : 'failed_after_success' },
    audit: auditOf(evidence),
  });
  return outcome.isApplied ? done('in_review') : snooze(inFlightDelayMs, 'overtaken');
}

/** The job that asks the gateway; `version` is the tokenization's. */
export function confirmJob(tokenizationId: string, version: number): OutboxJob {
  return {
    queue: 'reconciliation',
    name: 'tokenization.confirm',
    jobId: jobId('confirm', tokenizationId, version),
    payload: { v: 1, tokenizationId },
  };
}

function auditOf({ callback }: Evidence) {
  return {
    actor: { type: 'gateway', id: callback.channel },
    channel: callback.channel,
    evidenceId: callback.id,
    evidenceDigest: callback.message_digest,
  } as const;
}
