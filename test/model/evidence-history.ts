import fc from 'fast-check';
import {
  type AnswerEvidence,
  type Belief,
  type ConfirmPolicy,
  decideOnAnswer,
  decideOnDispute,
  decideOnMessage,
  type Decision,
  type MessageEvidence,
  rankOf,
  type ReviewReason,
} from '../../src/domain/evidence.ts';
import {
  type TokenizationEvent,
  type TokenizationState,
  tokenizationTransitions,
} from '../../src/domain/tokenization.ts';
import { nextState } from '../../src/domain/transition.ts';

/** What is true at the gateway. Messages may say otherwise; its own answers, once it gives any, do not. */
export type Truth = 'active' | 'failed' | 'undecided';

/** One random story: what is true, what arrives in which order, and how often the gateway stays silent in between. */
export interface History {
  readonly truth: Truth;
  readonly start: 'submit_unknown' | 'awaiting_customer';
  readonly policy: ConfirmPolicy;
  readonly messages: readonly MessageEvidence[];
  /** One per message: whether the gateway is asked, and answers, right after it. */
  readonly answers: readonly ('none' | 'silent' | 'truth')[];
  /** After how many messages the customer's time is over; undefined: only once all have come. */
  readonly deadlineAfter: number | undefined;
}

/** How a history ended. */
export interface Ending {
  readonly state: TokenizationState;
  readonly reviews: ReadonlySet<ReviewReason>;
  /** Rules that were broken on the way, in words. Empty is what everybody hopes for. */
  readonly breaks: readonly string[];
}

/** Forged and genuine, proven and not, about this token and about another one. */
export const messages: fc.Arbitrary<MessageEvidence> = fc
  .record({
    channel: fc.constantFrom('redirect', 'notify'),
    isProven: fc.boolean(),
    says: fc.constantFrom('success', 'failure', 'pending'),
    hasToken: fc.boolean(),
    isOtherToken: fc.boolean(),
    isAbandonedAttempt: fc.boolean(),
  })
  .map((message) => ({ ...message, isOtherToken: message.hasToken && message.isOtherToken }));

/** Histories of at most `messagesMax` messages. A proven push is the gateway's own word, so it agrees with the truth. */
export function histories(messagesMax: number): fc.Arbitrary<History> {
  return fc
    .record({
      truth: fc.constantFrom<Truth>('active', 'failed', 'undecided'),
      start: fc.constantFrom('submit_unknown', 'awaiting_customer'),
      policy: fc.constantFrom('query', 'signed'),
      messages: fc.array(messages, { maxLength: messagesMax }),
      answers: fc.array(fc.constantFrom('none', 'silent', 'truth'), {
        minLength: messagesMax,
        maxLength: messagesMax,
      }),
      deadlineAfter: fc.option(fc.nat(messagesMax), { nil: undefined }),
    })
    .map((history) => ({
      ...history,
      messages: history.messages.map((message) => honest(message, history.truth)),
    }));
}

function honest(message: MessageEvidence, truth: Truth): MessageEvidence {
  if (rankOf(message) < 2) return message;
  const says = ({ active: 'success', failed: 'failure', undecided: 'pending' } as const)[truth];
  return { ...message, says, isOtherToken: false, isAbandonedAttempt: false };
}

/** Plays a history: each message once it arrives, then the gateway until it has nothing new to say. */
export function play(history: History): Ending {
  const story = new Story(history);
  for (const [index, message] of history.messages.entries()) {
    if (history.deadlineAfter === index) story.passDeadline();
    story.receive(message);
    const answer = history.answers[index] ?? 'none';
    if (answer !== 'none') story.ask(answer === 'truth' ? history.truth : undefined);
  }
  story.passDeadline();
  story.ask(history.truth);
  story.ask(history.truth);
  return story.end();
}

class Story {
  private state: TokenizationState;
  private isDeadlineOver = false;
  private isExtended = false;
  private readonly reviews = new Set<ReviewReason>();
  private readonly breaks: string[] = [];
  private readonly history: History;

  constructor(history: History) {
    this.history = history;
    this.state = history.start;
  }

  passDeadline(): void {
    this.isDeadlineOver = true;
  }

  receive(message: MessageEvidence): void {
    const before = this.state;
    const decision = decideOnMessage(this.belief(), message, this.history.policy);
    if (decision === undefined) return;
    this.commit(decision);
    const isSettled = this.state !== before && this.state !== 'confirming';
    if (rankOf(message) < 2 && isSettled) this.breaks.push('unproven_evidence_settled');
    if (this.state === 'active' && before !== 'active' && this.history.policy === 'query') {
      this.breaks.push('activated_without_query');
    }
    if (before === 'active' && decision.isAsking) this.settleDispute(message);
  }

  private settleDispute(message: MessageEvidence): void {
    const isOther = message.says === 'success';
    const said = isOther ? 'none' : answerOf(this.history.truth);
    const decision = decideOnDispute(this.belief(), message, said);
    if (decision !== undefined) this.commit(decision);
  }

  /** Asks as the schedule does; undefined: no answer. */
  ask(truth: Truth | undefined): void {
    const says = truth === undefined ? 'unknown' : answerOf(truth);
    const before = this.state;
    this.commit(decideOnAnswer(this.belief(), { says, isOtherToken: false }));
    if (says === 'unknown' && this.state !== before) this.breaks.push('silence_settled');
  }

  private commit({ event, andThen, review }: Decision): void {
    for (const next of [event, andThen]) if (next !== undefined) this.apply(next);
    if (event === 'evidence.pending') {
      if (this.isExtended) this.breaks.push('deadline_extended_twice');
      this.isExtended = true;
    }
    if (review !== undefined) this.reviews.add(review);
  }

  private apply(event: TokenizationEvent): void {
    const to = nextState(tokenizationTransitions, this.state, event);
    if (to === undefined) this.breaks.push(`${event}_from_${this.state}`);
    else this.state = to;
  }

  private belief(): Belief {
    return {
      state: this.state,
      isExtendable: this.state !== 'submit_unknown' && !this.isExtended,
      isDeadlineOver: this.isDeadlineOver,
      isAskedSoon: false,
      isInReview: this.reviews.size > 0,
    };
  }

  end(): Ending {
    const { truth } = this.history;
    if ((this.state === 'active') !== (truth === 'active')) this.breaks.push('ended_against_truth');
    return { state: this.state, reviews: this.reviews, breaks: this.breaks };
  }
}

function answerOf(truth: Truth): AnswerEvidence['says'] {
  return ({ active: 'success', failed: 'failure', undecided: 'pending' } as const)[truth];
}
