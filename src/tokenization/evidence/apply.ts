import { databaseNow } from '../../db/database.ts';
import type { CallbackRow, TokenizationRow } from '../../db/rows.ts';
import {
  type Decision,
  decideOnMessage,
  type MessageEvidence,
  rankOf,
} from '../../domain/evidence.ts';
import type { CallbackMessage } from '../../gateway/callback-message.ts';
import {
  activation,
  isSameQuickpayId,
  quickpayIndex,
  factsOf,
  firstReconcileStep,
} from '../row.ts';
import { isOfEarlierAttempt } from './match-request.ts';
import { retryWhileSubmitting } from './backoff.ts';
import { done, type JobContext, type Outcome, committed } from '../../execution/define-job.ts';
import { claimEvents, deadlineExtension, verifyClaim } from './verify-claim.ts';
import { verifyContradiction } from './verify-contradiction.ts';
import { confirmJob } from '../../domain/outbox-job.ts';

/** A message that was found readable and about this tokenization. */
export interface Evidence {
  readonly callback: CallbackRow;
  readonly message: CallbackMessage;
  /** Whether its signature is right. */
  readonly isSigned: boolean;
  /** Whether its signature proves the sender and what it says of this tokenization. */
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

type Context = JobContext<(typeof evidenceEvents)[number]>;

/**
 * Lets evidence work on a tokenization. What it says is believed only as far as its rank goes (`src/domain/evidence.ts`):
 * unproven evidence makes the worker ask the gateway and changes nothing else.
 */
export async function applyEvidence(
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  const said = messageEvidence(evidence, row, context);
  const decision = decideOnMessage(factsOf(row), said, context.settings.confirmPolicy);
  if (decision === undefined) {
    const now = await databaseNow(context.db);
    return retryWhileSubmitting(now.getTime() - evidence.callback.received_at.getTime());
  }
  if (decision.event !== undefined) return await commit(decision, evidence, row, context);
  if (!decision.isAsking) return done(decision.reason);
  const dispute = {
    row,
    said,
    quickpayId: evidence.message.fields.quickpayId,
    receivedAt: evidence.callback.received_at,
    audit: auditOf(evidence),
  };
  if (row.quickpay_id_sealed !== null) return await verifyContradiction(dispute, context);
  const isClaim = rankOf(said) < 2 || said.isAbandonedAttempt;
  if (isClaim) return await verifyClaim(dispute, context);
  await context.enqueue([confirmJob(row.id, row.version)]);
  return done(decision.reason);
}

function messageEvidence(
  { callback, message, isProven, isSigned }: Evidence,
  row: TokenizationRow,
  { keyring }: Context,
): MessageEvidence {
  const { status, quickpayId, merchantReferenceId: reference, orderReferenceId } = message.fields;
  return {
    channel: callback.channel,
    isProven,
    isSigned,
    says: status === '1' ? 'success' : status === '-1' ? 'pending' : 'failure',
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

async function commit(
  decision: Decision,
  evidence: Evidence,
  row: TokenizationRow,
  context: Context,
): Promise<Outcome> {
  const change = changeOf(decision, evidence, row, context);
  if (change === undefined) return done(decision.reason);
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    ...change,
    audit: { ...auditOf(evidence), ...change.audit },
    jobs: decision.isAsking ? [confirmJob(row.id, row.version + 1)] : [],
  });
  return committed(outcome, decision.reason);
}

/** The columns that an event of evidence sets. */
function changeOf(
  { event }: Decision,
  { message, callback, isProven }: Evidence,
  row: TokenizationRow,
  context: Context,
) {
  const { settings } = context;
  const { quickpayId, orderReferenceId } = message.fields;
  switch (event) {
    case 'tokenization.activated':
      if (quickpayId === undefined) return undefined;
      return {
        event,
        ...activation(context, row, {
          quickpayId,
          orderReferenceId,
          isEndAsked: true,
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
        ...deadlineExtension(settings),
        audit: { detail: { deadlineExtended: true } },
      } as const;
    case 'evidence.accepted': {
      // What strangers may send is no id to compare the gateway's answer with.
      const isBelieved = rankOf({ channel: callback.channel, isProven }) >= 2;
      const learned =
        isBelieved && quickpayId !== undefined
          ? { evidence_index: quickpayIndex(context.keyring, quickpayId) }
          : {};
      const deadline =
        row.state === 'submit_unknown'
          ? { deadline_at_in_ms: settings.awaitingCustomerDeadlineMs }
          : {};
      const reference = isBelieved ? orderReferenceId : undefined;
      return {
        event,
        patch: {
          ...firstReconcileStep(settings),
          ...learned,
          ...deadline,
          order_reference_id: row.order_reference_id ?? reference ?? null,
        },
        audit: {},
      } as const;
    }
    default:
      return undefined;
  }
}

function auditOf({ callback }: Evidence) {
  return {
    actor: { type: 'gateway', id: callback.channel },
    channel: callback.channel,
    evidenceId: callback.id,
    evidenceDigest: callback.message_digest,
  } as const;
}
