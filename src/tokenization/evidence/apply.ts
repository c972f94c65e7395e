import { databaseNow } from '../../db/connection/database.ts';
import type { CallbackRow, TokenizationRow } from '../../db/rows.ts';
import {
  type Decision,
  decideOnMessage,
  type MessageEvidence,
  rankOf,
} from '../../domain/evidence.ts';
import { statusMeaningOf } from '../../domain/status-words.ts';
import type { CallbackMessage } from '../../gateway/callback-message.ts';
import {
  activationPatch,
  isSameQuickpayId,
  quickpayIndex,
  factsOf,
  firstReconcileStep,
} from '../row.ts';
import { isOfEarlierAttempt } from './match-request.ts';
import { retryWhileSubmitting } from './backoff.ts';
import type { JobSettings } from '../../execution/dependencies.ts';
import { done, type JobContext, type Outcome, committed } from '../../execution/define-job.ts';
import { claimEvents, deadlineExtensionPatch, verifyClaim } from './verify-claim.ts';
import { verifyContradiction } from './verify-contradiction.ts';
import { confirmJob } from '../../domain/outbox-job.ts';

/** A readable message that matches the request of a tokenization. */
export interface Evidence {
  readonly callback: CallbackRow;
  readonly message: CallbackMessage;
  /** Whether its signature is right, or its per-request URL proves the sender. */
  readonly isSigned: boolean;
  /** Whether the sender and every field that the message states are proven. */
  readonly isProven: boolean;
}

/** The changes of a tokenization that evidence may lead to. */
export const evidenceEvents = [
  ...claimEvents,
  'evidence.accepted',
  'conflict.second_token',
  'conflict.failed_after_success',
  'token.disabled',
] as const;

type EvidenceContext = JobContext<(typeof evidenceEvents)[number]>;

/**
 * Applies evidence to a tokenization as far as its rank allows (`src/domain/evidence.ts`). Unproven
 * evidence makes the worker query the gateway. It may move an open tokenization to `confirming`,
 * but never to a final state.
 */
export async function applyEvidence(
  evidence: Evidence,
  row: TokenizationRow,
  context: EvidenceContext,
): Promise<Outcome> {
  const message = messageEvidenceOf(evidence, row, context);
  const decision = decideOnMessage(factsOf(row), message, context.settings.confirmPolicy);
  if (decision === undefined) {
    const now = await databaseNow(context.db);
    return retryWhileSubmitting(now.getTime() - evidence.callback.received_at.getTime());
  }
  if (decision.event !== undefined) return await commitEvidence(decision, evidence, row, context);
  if (!decision.needsQuery) return done(decision.reason);
  const unconfirmed = {
    row,
    message,
    quickpayId: evidence.message.fields.quickpayId,
    receivedAt: evidence.callback.received_at,
    audit: evidenceAudit(evidence),
  };
  if (row.quickpay_id_sealed !== null) return await verifyContradiction(unconfirmed, context);
  const isClaim = rankOf(message) < 2 || message.isAbandonedAttempt;
  if (isClaim) return await verifyClaim(unconfirmed, context);
  await context.enqueue([confirmJob(row.id, row.version)]);
  return done(decision.reason);
}

function messageEvidenceOf(
  { callback, message, isProven, isSigned }: Evidence,
  row: TokenizationRow,
  { keyring, settings }: EvidenceContext,
): MessageEvidence {
  const { status, quickpayId, merchantReferenceId: reference, orderReferenceId } = message.fields;
  // The grammar has refused every status without a meaning.
  const meaning = statusMeaningOf(status, settings.statusMap);
  return {
    channel: callback.channel,
    isProven,
    isSigned,
    says: meaning === 'active' ? 'success' : meaning === 'pending' ? 'pending' : 'failure',
    hasToken: quickpayId !== undefined,
    isOtherToken:
      quickpayId !== undefined &&
      row.quickpay_id_index !== null &&
      !isSameQuickpayId(keyring, quickpayId, row.quickpay_id_index),
    isAbandonedAttempt:
      reference !== undefined && reference !== row.gateway_reference
        ? row.abandoned_references.includes(reference)
        : isOfEarlierAttempt(row, orderReferenceId),
  };
}

async function commitEvidence(
  decision: Decision,
  evidence: Evidence,
  row: TokenizationRow,
  context: EvidenceContext,
): Promise<Outcome> {
  const change = evidenceChangeOf(decision, evidence, row, context);
  if (change === undefined) return done(decision.reason);
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    ...change,
    audit: { ...evidenceAudit(evidence), ...change.audit },
    jobs: decision.needsQuery ? [confirmJob(row.id, row.version + 1)] : [],
  });
  return committed(outcome, decision.reason);
}

/** The columns that an event of evidence sets. */
function evidenceChangeOf(
  { event }: Decision,
  evidence: Evidence,
  row: TokenizationRow,
  context: EvidenceContext,
) {
  const { settings } = context;
  const { quickpayId, orderReferenceId } = evidence.message.fields;
  switch (event) {
    case 'tokenization.activated':
      if (quickpayId === undefined) return undefined;
      return {
        event,
        patch: activationPatch(context, row, {
          quickpayId,
          orderReferenceId,
          needsExpiryQuery: true,
        }),
        audit: {},
      } as const;
    case 'tokenization.failed':
      return {
        event,
        patch: { lease_until: null, ...firstReconcileStep(settings) },
        audit: { reason: 'notified' },
      } as const;
    case 'evidence.pending':
      return {
        event,
        patch: deadlineExtensionPatch(settings),
        audit: { detail: { deadlineExtended: true } },
      } as const;
    case 'evidence.accepted':
      return { event, patch: acceptedPatch(evidence, row, context), audit: {} } as const;
    default:
      return undefined;
  }
}

function acceptedPatch(
  { message, callback, isProven }: Evidence,
  row: TokenizationRow,
  { keyring, settings }: EvidenceContext,
) {
  const { quickpayId, orderReferenceId } = message.fields;
  // Ids of an unproven message are not stored: the gateway's answer is compared with the stored
  // ones.
  const isTrusted = rankOf({ channel: callback.channel, isProven }) >= 2;
  return {
    ...firstReconcileStep(settings),
    ...(isTrusted && quickpayId !== undefined
      ? { evidence_index: quickpayIndex(keyring, quickpayId) }
      : {}),
    ...(row.state === 'submit_unknown' ? unknownPagePatch(settings) : {}),
    order_reference_id:
      row.order_reference_id ?? (isTrusted ? orderReferenceId : undefined) ?? null,
  };
}

/**
 * The columns of a request whose reply was lost, and of which the gateway says that it has a
 * result. Without its page, no customer can go on, so the merchant is told unless queries confirm
 * the result (`recordAnswer`).
 */
function unknownPagePatch(settings: JobSettings) {
  return {
    deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
    lost_answer: 'pending',
    lost_answer_at_in_ms: 0,
  } as const;
}

function evidenceAudit({ callback }: Evidence) {
  return {
    actor: { type: 'gateway', id: callback.channel },
    channel: callback.channel,
    evidenceId: callback.id,
    evidenceDigest: callback.message_digest,
  } as const;
}
