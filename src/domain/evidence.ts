import type { Channel } from './callback.ts';
import { isOpen, type TokenizationEvent, type TokenizationState } from './tokenization.ts';

/** A message of the inbox that passed grammar, signature mode and the comparison with its request. */
export interface MessageEvidence {
  readonly channel: Channel;
  /** Whether its signature proves the sender. A redirect passes through a browser, so it is never worth more than rank 1. */
  readonly isProven: boolean;
  /** Whether its signature is right: less than a proof, as the signed values have no borders, and more than a stranger's word. */
  readonly isSigned: boolean;
  readonly says: 'success' | 'failure' | 'pending';
  /** Whether it names a token. */
  readonly hasToken: boolean;
  /** Whether it names a token other than the tokenization's own. */
  readonly isOtherToken: boolean;
  /** Whether it is about a reference that was given up for a new one, as its outcome had been unknown for too long. */
  readonly isAbandonedAttempt: boolean;
}

/** The gateway's answer to our own query, over our own TLS connection: rank 3. */
export interface AnswerEvidence {
  /** `none`: it does not know the reference. `unknown`: timeout, 5xx, a word we do not know. */
  readonly says: 'success' | 'failure' | 'pending' | 'none' | 'unknown';
  /** Whether its token is another than proven evidence named before. */
  readonly isOtherToken: boolean;
}

/** What is believed of a tokenization before new evidence is looked at. */
export interface TokenizationFacts {
  readonly state: TokenizationState;
  /** Whether the customer's time can still be extended: there is a deadline, and it was not extended before. */
  readonly isExtendable: boolean;
  readonly isDeadlineOver: boolean;
  /** Whether the gateway is about to be asked anyway, on the first step of the schedule. */
  readonly isAskedSoon: boolean;
  /** Why a person has to look already. */
  readonly review: ReviewReason | null;
}

/** How much a proven push may do by itself: make the worker ask, or activate. */
export type ConfirmPolicy = 'query' | 'signed';

/** Why a person has to look. The set is closed. */
export const reviewReasons = [
  'second_token',
  'failed_after_success',
  'evidence_id_differs',
  'reconcile_exhausted',
  'lost_request',
  'disable_refused',
] as const;

/** One reason of the closed set. */
export type ReviewReason = (typeof reviewReasons)[number];

/** What evidence leads to. Without an event nothing is written. */
export interface Decision {
  readonly event?: TokenizationEvent;
  /** A second change that follows from the first. */
  readonly andThen?: TokenizationEvent;
  /** Whether the gateway has to be asked before the matter is settled. */
  readonly isAsking: boolean;
  /** Set where two pieces of evidence contradict each other. */
  readonly review?: ReviewReason;
  /** A word of a closed set, for the callback's verdict and the job's result. */
  readonly reason: string;
}

/** How far evidence is believed: 3 our own reply or query, 2 a push whose signature is proven, 1 a browser, 0 unsigned. */
export function rankOf({
  channel,
  isProven,
}: Pick<MessageEvidence, 'channel' | 'isProven'>): 0 | 1 | 2 {
  if (channel === 'redirect') return 1;
  return isProven ? 2 : 0;
}

const nothing = (reason: string): Decision => ({ isAsking: false, reason });
const asking = (reason: string): Decision => ({ isAsking: true, reason });

/**
 * What a message does to a tokenization; undefined while our own request is on its way and its answer comes first.
 *
 * Rank 2 may fail a tokenization and, under the policy `signed`, activate one; the gateway is asked after a failure too, as the
 * customer may have tried again. Everything below can do one thing only: make the worker ask. So the end does not depend on
 * the order or the number of messages, only on what the gateway answers.
 */
export function decideOnMessage(
  belief: TokenizationFacts,
  message: MessageEvidence,
  policy: ConfirmPolicy,
): Decision | undefined {
  // What became of a reference that was given up matters only where it would be a second token.
  if (message.isAbandonedAttempt && message.says !== 'success') return nothing('abandoned_attempt');
  switch (belief.state) {
    case 'requested':
    case 'submitting':
      return undefined;
    case 'submit_unknown':
    case 'awaiting_customer':
    case 'confirming':
      return decideWhileOpen(belief, message, policy);
    case 'active':
      return decideAfterSuccess(message);
    case 'failed':
    case 'expired':
      if (message.says !== 'success') return nothing('already_settled');
      // What stands is not put in question for a stranger, only asked about.
      return belief.isAskedSoon || rankOf(message) < 2
        ? asking('late_success')
        : { event: 'evidence.accepted', ...asking('late_success') };
    case 'disabling':
    case 'disabled':
    case 'token_expired':
      // Another token of the same request would work on, unseen.
      return message.says === 'success' && message.isOtherToken
        ? asking('other_token_after_end')
        : nothing('already_settled');
  }
}

function decideWhileOpen(
  belief: TokenizationFacts,
  message: MessageEvidence,
  policy: ConfirmPolicy,
): Decision {
  const isProven = rankOf(message) >= 2;
  if (message.says === 'pending') return decideOnPending(belief, message);
  // It says nothing of the present attempt, which stands as it is.
  if (message.isAbandonedAttempt) return asking('abandoned_attempt');
  const isEnough = policy === 'signed' && isProven && message.hasToken;
  if (message.says === 'success' && isEnough) {
    return { event: 'tokenization.activated', ...nothing('active') };
  }
  if (message.says === 'failure' && isProven) {
    return { event: 'tokenization.failed', ...asking('failed') };
  }
  if (belief.state === 'confirming') return asking('already_confirming');
  // A lost request is sent again only out of `submit_unknown`, so a stranger must not be able to move it elsewhere.
  if (belief.state === 'submit_unknown' && !message.isSigned) return asking('asking');
  return { event: 'evidence.accepted', ...asking('asking') };
}

/** A customer who is at it gets more time, once. Whoever speaks for one without proof is asked about first. */
function decideOnPending(
  { state, isExtendable }: TokenizationFacts,
  message: MessageEvidence,
): Decision {
  if (state === 'submit_unknown') {
    // Signed, it shows that the gateway has the request, so it must not be sent again.
    return message.isSigned
      ? { event: 'evidence.accepted', ...asking('asking') }
      : asking('asking');
  }
  if (!isExtendable) return nothing('still_pending');
  return rankOf(message) >= 2
    ? { event: 'evidence.pending', ...nothing('deadline_extended') }
    : asking('still_pending');
}

/** Neither a second token nor a failure is believed of a token that works: the gateway says what is true of it. */
function decideAfterSuccess(message: MessageEvidence): Decision {
  if (message.says === 'pending') return nothing('already_settled');
  if (message.says === 'failure') return asking('failure_after_success');
  return message.isOtherToken ? asking('other_token_after_success') : nothing('already_active');
}

/**
 * What follows when the gateway was asked about a message that contradicts a token that works, or that worked: about the
 * message's own token where it names another one, else about ours. Undefined when it gave no answer and has to be asked again.
 *
 * A message that the gateway does not bear out leaves a trace only when its sender is proven.
 */
export function decideOnDispute(
  { review }: Pick<TokenizationFacts, 'review'>,
  message: MessageEvidence,
  answer: AnswerEvidence['says'],
): Decision | undefined {
  if (answer === 'unknown') return undefined;
  const isBelieved = rankOf(message) >= 2;
  if (message.says === 'success') {
    if (answer !== 'success') return nothing('other_token_not_usable');
    return conflict('conflict.second_token', 'second_token', review);
  }
  const flag = conflict('conflict.failed_after_success', 'failed_after_success', review);
  if (answer === 'failure') return { ...flag, andThen: 'token.disabled', reason: 'disabled' };
  return isBelieved ? flag : nothing('not_borne_out');
}

/** A row is flagged once for one reason; another reason takes its place, and both stay in the audit trail. */
function conflict(
  event: 'conflict.second_token' | 'conflict.failed_after_success',
  review: ReviewReason,
  present: ReviewReason | null,
): Decision {
  return present === review
    ? nothing('already_in_review')
    : { event, review, isAsking: false, reason: 'in_review' };
}

/**
 * What follows when the gateway was asked because of an unproven message about a tokenization without a usable token.
 * Undefined when the answer settles nothing that the message said: it may come too early, so it is asked again for a while.
 */
export function decideOnClaim(
  belief: TokenizationFacts,
  message: MessageEvidence,
  answer: AnswerEvidence,
): Decision | undefined {
  if (isOpen(belief.state)) {
    const isBorneOut = message.says === 'pending' && answer.says === 'pending';
    return isBorneOut && belief.isExtendable
      ? { event: 'evidence.pending', ...nothing('deadline_extended') }
      : decideOnAnswer(belief, answer);
  }
  return answer.says === 'success' ? decideOnAnswer(belief, answer) : undefined;
}

/**
 * What the gateway's own answer does to a tokenization without a usable token. An answer that settles nothing has no event
 * but the next step of the schedule; `none` for a request that may have been lost is decided by the resubmission policy.
 */
export function decideOnAnswer(belief: TokenizationFacts, answer: AnswerEvidence): Decision {
  const { state } = belief;
  const isReopenable = state === 'failed' || state === 'expired';
  if (!isOpen(state) && !isReopenable) return nothing('already_settled');
  switch (answer.says) {
    case 'success':
      return {
        event: 'tokenization.activated',
        ...(answer.isOtherToken ? { review: 'evidence_id_differs' } : {}),
        ...nothing('active'),
      };
    case 'failure':
      return isReopenable
        ? { event: 'reconcile.settled', ...nothing('settled') }
        : { event: 'tokenization.failed', ...nothing('failed') };
    case 'pending':
      return state === 'submit_unknown'
        ? { event: 'tokenization.located', ...asking('located') }
        : decideOnSilence(belief);
    case 'none':
      return decideOnSilence(belief);
    case 'unknown':
      return asking('look_again');
  }
}

function decideOnSilence({ state, isDeadlineOver }: TokenizationFacts): Decision {
  const canExpire = state === 'awaiting_customer' || state === 'confirming';
  return canExpire && isDeadlineOver
    ? { event: 'tokenization.expired', ...asking('expired') }
    : asking('look_again');
}
