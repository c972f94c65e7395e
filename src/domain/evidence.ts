import type { Channel } from './callback.ts';
import { isOpen, type TokenizationEvent, type TokenizationState } from './tokenization.ts';

/**
 * A message of the inbox that passed the grammar, the signature mode and the check against its
 * request.
 */
export interface MessageEvidence {
  readonly channel: Channel;
  /** Whether its signature or its per-request URL proves the sender. */
  readonly isProven: boolean;
  /**
   * Whether its signature is right, or its per-request URL proves the sender. A right signature is
   * less than a proof, because the gateway joins the signed values without separators.
   */
  readonly isSigned: boolean;
  readonly says: 'success' | 'failure' | 'pending';
  readonly hasToken: boolean;
  /** Whether it names a token other than the tokenization's own. */
  readonly isOtherToken: boolean;
  /**
   * Whether it is about an earlier attempt, which the worker abandoned because its outcome stayed
   * unknown.
   */
  readonly isAbandonedAttempt: boolean;
}

/**
 * The gateway's answer to the worker's own query. It came over the worker's TLS connection: rank 3.
 */
export interface AnswerEvidence {
  /**
   * `none`: the gateway does not know the reference. `unknown`: a timeout, a 5xx or a status that
   * the worker does not know.
   */
  readonly says: 'success' | 'failure' | 'pending' | 'none' | 'unknown';
  /** Whether it names another token than proven evidence did before. */
  readonly isOtherToken: boolean;
}

/** What the worker knows about a tokenization before it reads new evidence. */
export interface TokenizationFacts {
  readonly state: TokenizationState;
  /** Whether the customer's deadline can still be extended: it exists and was never extended. */
  readonly isExtendable: boolean;
  readonly isDeadlineOver: boolean;
  /** Whether the first query of the schedule is still to come. */
  readonly isFirstQueryScheduled: boolean;
  /** Why an operator has to review the tokenization already. */
  readonly review: ReviewReason | null;
}

/**
 * Whether a proven push activates a token by itself (`signed`) or only makes the worker query
 * (`query`).
 */
export type ConfirmPolicy = 'query' | 'signed';

/** Why an operator has to review a tokenization. The set is closed. */
export const reviewReasons = [
  'second_token',
  'failed_after_success',
  'evidence_id_differs',
  'reconcile_exhausted',
  'lost_request',
  'redirect_lost',
  'disable_refused',
] as const;

export type ReviewReason = (typeof reviewReasons)[number];

/** What evidence leads to. A decision without an event changes nothing. */
export interface Decision {
  readonly event?: TokenizationEvent;
  /** A second change that follows from the first. */
  readonly andThen?: TokenizationEvent;
  /** Whether the worker must query the gateway before the matter is settled. */
  readonly needsQuery: boolean;
  /** Set where two pieces of evidence contradict each other. */
  readonly review?: ReviewReason;
  /** A reason code, for the callback's verdict and the job's result. */
  readonly reason: string;
}

/**
 * How much a message proves: 2 for a push whose signature or per-request URL proves the sender, 1
 * for a redirect, which any browser can make up, 0 for an unproven push. The worker's own query
 * ranks above all: 3.
 */
export function rankOf({
  channel,
  isProven,
}: Pick<MessageEvidence, 'channel' | 'isProven'>): 0 | 1 | 2 {
  if (channel === 'redirect') return 1;
  return isProven ? 2 : 0;
}

const withoutQuery = (reason: string): Decision => ({ needsQuery: false, reason });
const withQuery = (reason: string): Decision => ({ needsQuery: true, reason });

/**
 * What a message does to a tokenization. Undefined while the create request is in flight, because
 * the reply to that request comes first.
 *
 * Rank 2 may fail a tokenization and, under the policy `signed`, activate one. The worker queries
 * after a failure too, because the customer may have tried again. A message of a lower rank makes
 * the worker query, and never sets a final state. The order and the number of messages therefore
 * do not decide the final state.
 */
export function decideOnMessage(
  facts: TokenizationFacts,
  message: MessageEvidence,
  policy: ConfirmPolicy,
): Decision | undefined {
  // An abandoned attempt matters only if it succeeded: then there may be a second token.
  if (message.isAbandonedAttempt && message.says !== 'success') {
    return withoutQuery('abandoned_attempt');
  }
  switch (facts.state) {
    case 'requested':
    case 'submitting':
      return undefined;
    case 'submit_unknown':
    case 'awaiting_customer':
    case 'confirming':
      return decideWhileOpen(facts, message, policy);
    case 'active':
      return decideWhileActive(message);
    case 'failed':
    case 'expired':
      if (message.says !== 'success') return withoutQuery('already_settled');
      // An unproven message must not restart the query schedule of a settled tokenization.
      return facts.isFirstQueryScheduled || rankOf(message) < 2
        ? withQuery('late_success')
        : { event: 'evidence.accepted', ...withQuery('late_success') };
    case 'disabling':
    case 'disabled':
    case 'token_expired':
      // A second token of the same request would stay usable, and no process would watch it.
      return message.says === 'success' && message.isOtherToken
        ? withQuery('other_token_after_end')
        : withoutQuery('already_settled');
  }
}

function decideWhileOpen(
  facts: TokenizationFacts,
  message: MessageEvidence,
  policy: ConfirmPolicy,
): Decision {
  const isProven = rankOf(message) >= 2;
  if (message.says === 'pending') return decideOnPending(facts, message);
  // An abandoned attempt says nothing about the current one.
  if (message.isAbandonedAttempt) return withQuery('abandoned_attempt');
  const canActivate = policy === 'signed' && isProven && message.hasToken;
  if (message.says === 'success' && canActivate) {
    return { event: 'tokenization.activated', ...withoutQuery('active') };
  }
  if (message.says === 'failure' && isProven) {
    return { event: 'tokenization.failed', ...withQuery('failed') };
  }
  if (facts.state === 'confirming') return withQuery('already_confirming');
  // Only `submit_unknown` lets the worker send a lost request again, so an unverified sender must
  // not be able to move a tokenization out of that state.
  if (facts.state === 'submit_unknown' && !message.isSigned) return withQuery('query_queued');
  return { event: 'evidence.accepted', ...withQuery('query_queued') };
}

/**
 * A proven `pending` message extends the customer's deadline, once. An unproven one only makes the
 * worker query.
 */
function decideOnPending(
  { state, isExtendable }: TokenizationFacts,
  message: MessageEvidence,
): Decision {
  // No customer has the page of a request whose reply was lost, so a query decides.
  if (state === 'submit_unknown') return withQuery('query_queued');
  if (!isExtendable) return withoutQuery('still_pending');
  return rankOf(message) >= 2
    ? { event: 'evidence.pending', ...withoutQuery('deadline_extended') }
    : withQuery('still_pending');
}

/** No message changes a usable token: a contradiction only makes the worker query. */
function decideWhileActive(message: MessageEvidence): Decision {
  if (message.says === 'pending') return withoutQuery('already_settled');
  if (message.says === 'failure') return withQuery('failure_after_success');
  return message.isOtherToken
    ? withQuery('other_token_after_success')
    : withoutQuery('already_active');
}

/**
 * What follows once the gateway answered about a message that contradicts a usable or ended token.
 * The query was about the other token where the message names one, else about the tokenization's
 * own. Undefined when the gateway gave no answer, so that the worker must query again.
 *
 * A message that the gateway does not confirm leaves a trace only when its sender is proven.
 */
export function decideOnContradiction(
  { review }: Pick<TokenizationFacts, 'review'>,
  message: MessageEvidence,
  answer: AnswerEvidence['says'],
): Decision | undefined {
  if (answer === 'unknown') return undefined;
  if (message.says === 'success') {
    if (answer !== 'success') return withoutQuery('other_token_not_usable');
    return flagForReview('conflict.second_token', 'second_token', review);
  }
  const flag = flagForReview('conflict.failed_after_success', 'failed_after_success', review);
  if (answer === 'failure') return { ...flag, andThen: 'token.disabled', reason: 'disabled' };
  return rankOf(message) >= 2 ? flag : withoutQuery('not_confirmed');
}

/**
 * The row keeps one reason: a new one replaces it, the same one changes nothing. The audit has all.
 */
function flagForReview(
  event: 'conflict.second_token' | 'conflict.failed_after_success',
  review: ReviewReason,
  current: ReviewReason | null,
): Decision {
  return current === review
    ? withoutQuery('already_in_review')
    : { event, review, ...withoutQuery('in_review') };
}

/**
 * What follows once the gateway answered because of an unproven message about a tokenization
 * without a usable token. Undefined when the answer does not settle what the message said: the
 * query may have come too early, so the worker queries again for a while.
 */
export function decideOnClaim(
  facts: TokenizationFacts,
  message: MessageEvidence,
  answer: AnswerEvidence,
): Decision | undefined {
  if (isOpen(facts.state)) {
    const isPendingConfirmed = message.says === 'pending' && answer.says === 'pending';
    return isPendingConfirmed && facts.isExtendable
      ? { event: 'evidence.pending', ...withoutQuery('deadline_extended') }
      : decideOnAnswer(facts, answer);
  }
  return answer.says === 'success' ? decideOnAnswer(facts, answer) : undefined;
}

/**
 * What the gateway's own answer does to a tokenization without a usable token. An answer that
 * settles nothing has no event: the caller schedules the next query. `none` and `pending` for a
 * request whose reply was lost are left to the resubmission policy.
 */
export function decideOnAnswer(facts: TokenizationFacts, answer: AnswerEvidence): Decision {
  const { state } = facts;
  const isReopenable = state === 'failed' || state === 'expired';
  if (!isOpen(state) && !isReopenable) return withoutQuery('already_settled');
  switch (answer.says) {
    case 'success':
      return {
        event: 'tokenization.activated',
        ...(answer.isOtherToken ? { review: 'evidence_id_differs' } : {}),
        ...withoutQuery('active'),
      };
    case 'failure':
      return isReopenable
        ? { event: 'reconcile.settled', ...withoutQuery('settled') }
        : { event: 'tokenization.failed', ...withoutQuery('failed') };
    case 'pending':
    case 'none':
      return expireOrQueryAgain(facts);
    case 'unknown':
      return withQuery('not_settled');
  }
}

function expireOrQueryAgain({ state, isDeadlineOver }: TokenizationFacts): Decision {
  const canExpire = state === 'awaiting_customer' || state === 'confirming';
  return canExpire && isDeadlineOver
    ? { event: 'tokenization.expired', ...withQuery('expired') }
    : withQuery('not_settled');
}
