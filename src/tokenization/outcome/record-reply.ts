import type { TokenizationRow } from '../../db/rows.ts';
import { retryCommit } from '../../db/connection/retry-commit.ts';
import { findTokenization } from '../../db/tokenizations.ts';
import { done, type JobContext, type Outcome } from '../../execution/define-job.ts';
import type { CreateReply } from '../../gateway/client.ts';
import {
  activationPatch,
  firstReconcileStep,
  isSameQuickpayId,
  reconcileAfterFailure,
} from '../row.ts';

/** The changes that the reply to a creation may lead to. */
export const replyEvents = [
  'tokenization.redirect_issued',
  'tokenization.pending',
  'tokenization.activated',
  'tokenization.failed',
  'tokenization.outcome_unknown',
] as const;

type ReplyContext = JobContext<(typeof replyEvents)[number]>;

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
  'code_unclear',
]);

/** A change of a tokenization, and the job's result. */
interface ReplyChange {
  readonly result: string;
  readonly event: (typeof replyEvents)[number];
  readonly patch: Readonly<Record<string, unknown>>;
  readonly audit: NonNullable<Parameters<ReplyContext['apply']>[0]['audit']>;
}

/**
 * Commits what a reply leads to. A reply that arrives after its lease expired still counts, because
 * it is the gateway's own word, while its attempt is still current. A commit that the database
 * refuses is repeated: only this process knows the reply. `row` is the row as the intent left it.
 */
export async function recordReply(
  row: TokenizationRow,
  reply: CreateReply,
  context: ReplyContext,
): Promise<Outcome> {
  const first = replyChange(row, reply, context);
  if (reply.kind === 'unknown') logRefusedReply(row, reply, context);
  await retryCommit(async () => {
    let current = row;
    for (let change: ReplyChange | undefined = first; change !== undefined;) {
      const { event, patch, audit } = change;
      const request = { entity: 'tokenization', row: current, event, patch, audit } as const;
      const { isApplied } = await context.apply(request);
      if (isApplied) return;
      const present = await findTokenization(context.db, row.id);
      if (present?.attempt !== row.attempt) return;
      current = present;
      change = changeInState(current, reply, context);
    }
  }, context.settings.leaseMs);
  return done(first.result);
}

/**
 * The change that a reply leads to in the row's current state. Its lease may have expired, and a
 * proven push may have come first. Undefined where the reply changes nothing, also because an
 * earlier try of the same commit was made and its answer lost.
 */
function changeInState(
  row: TokenizationRow,
  reply: CreateReply,
  context: ReplyContext,
): ReplyChange | undefined {
  const change = replyChange(row, reply, context);
  switch (row.state) {
    case 'submitting':
      return change;
    case 'submit_unknown':
      return reply.kind === 'unknown' ? refusedCauseChange(row, reply, change) : change;
    case 'confirming':
      return confirmingChange(row, reply, { change, context });
    default:
      return undefined;
  }
}

/** The outcome is unknown already; whether another creation would end the same way is new. */
function refusedCauseChange(
  row: TokenizationRow,
  { cause }: UnknownReply,
  change: ReplyChange,
): ReplyChange | undefined {
  return !refusedReplyCauses.has(cause) || row.lost_reply_cause !== null
    ? undefined
    : { ...change, patch: { lost_reply_cause: cause } };
}

/**
 * A proven push named a result before the reply came. The row ends as if the reply had come first:
 * the customer gets the page, and the state, the schedule and the deadline are those of the push.
 * A refusal contradicts the push, so the queries decide.
 */
function confirmingChange(
  row: TokenizationRow,
  reply: CreateReply,
  { change, context: { keyring } }: { change: ReplyChange; context: ReplyContext },
): ReplyChange | undefined {
  if (reply.kind === 'done' && change.event === 'tokenization.activated') {
    const { evidence_index: index } = row;
    const isOther = index !== null && !isSameQuickpayId(keyring, reply.quickpayId, index);
    return isOther
      ? { ...change, patch: { ...change.patch, review: 'evidence_id_differs' } }
      : change;
  }
  const isPageUnknown = row.redirect_url === null && row.lost_answer_at !== null;
  const isPageReported = row.redirect_url === null && row.review === 'redirect_lost';
  const isNews = reply.kind === 'redirect' ? isPageUnknown || isPageReported : isPageUnknown;
  if (!isNews || !(reply.kind === 'redirect' || change.event === 'tokenization.pending')) {
    return undefined;
  }
  const { redirect_url: url, order_reference_id: reference } = change.patch;
  return {
    ...change,
    patch: {
      ...pageKnownPatch,
      order_reference_id: reference,
      ...(url === undefined ? {} : { redirect_url: url }),
      ...(isPageReported ? { review: null } : {}),
    },
  };
}

/** The worker knows again whether a customer has a page, so no query may report it as lost. */
const pageKnownPatch = { lost_answer: null, lost_answer_at: null } as const;

/** The change that a reply leads to while nothing else has come. */
function replyChange(row: TokenizationRow, reply: CreateReply, context: ReplyContext): ReplyChange {
  const { settings } = context;
  switch (reply.kind) {
    case 'redirect':
      return {
        result: 'awaiting_customer',
        event: 'tokenization.redirect_issued',
        patch: {
          redirect_url: reply.url,
          order_reference_id: reply.orderReferenceId ?? row.order_reference_id,
          lease_until: null,
          ...pageKnownPatch,
          deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
          ...firstReconcileStep(settings),
        },
        audit: {
          channel: 'create_reply',
          detail: { redirectHost: new URL(reply.url).hostname },
        },
      };
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
      };
    case 'unknown':
      return outcomeUnknownChange(reply, context);
  }
}

/** A reply without a redirect address has the result itself. */
function immediateResultChange(
  row: TokenizationRow,
  reply: Extract<CreateReply, { kind: 'done' }>,
  context: ReplyContext,
): ReplyChange {
  const { settings } = context;
  const detail = { rawStatus: reply.rawStatus };
  switch (reply.status) {
    case 'active':
      return {
        result: 'active',
        event: 'tokenization.activated',
        patch: activationPatch(context, row, { ...reply, needsExpiryQuery: true }),
        audit: { channel: 'create_reply', detail },
      };
    case 'failed':
      return {
        result: 'failed',
        event: 'tokenization.failed',
        patch: { lease_until: null, ...reconcileAfterFailure(row, settings) },
        audit: { channel: 'create_reply', reason: 'status', detail },
      };
    // The gateway has the request and wants no customer: it must not be sent again.
    default:
      return {
        result: 'confirming',
        event: 'tokenization.pending',
        patch: {
          order_reference_id: reply.orderReferenceId ?? row.order_reference_id,
          lease_until: null,
          ...pageKnownPatch,
          deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
          ...firstReconcileStep(settings),
        },
        audit: { channel: 'create_reply', detail },
      };
  }
}

function outcomeUnknownChange(
  { cause, gatewayCode }: UnknownReply,
  { settings }: ReplyContext,
): ReplyChange {
  return {
    result: 'submit_unknown',
    event: 'tokenization.outcome_unknown',
    patch: {
      lease_until: null,
      lost_reply_cause: refusedReplyCauses.has(cause) ? cause : null,
      ...firstReconcileStep(settings),
    },
    audit: { channel: 'create_reply', reason: 'outcome_unknown', gatewayCode, detail: { cause } },
  };
}

function logRefusedReply(
  { id: tokenizationId }: TokenizationRow,
  { cause, refusedHost, gatewayCode }: UnknownReply,
  { logger }: ReplyContext,
): void {
  if (!refusedReplyCauses.has(cause)) return;
  logger.error(
    { tokenizationId, cause, refusedHost, gatewayCode },
    'the worker refused the reply to a creation, and does not send the request again',
  );
}
