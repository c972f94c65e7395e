import fc from 'fast-check';
import {
  type AnswerEvidence,
  type TokenizationFacts,
  type ConfirmPolicy,
  decideOnAnswer,
  decideOnClaim,
  decideOnContradiction,
  decideOnMessage,
  type Decision,
  type MessageEvidence,
  type ReviewReason,
} from '../../src/domain/evidence.ts';
import {
  isOpen,
  type TokenizationEvent,
  type TokenizationState,
  tokenizationTransitions,
} from '../../src/domain/tokenization.ts';
import { nextState } from '../../src/domain/transition.ts';

/** What the gateway says of the token when asked. */
type GatewayView = Exclude<AnswerEvidence['says'], 'unknown'>;

/**
 * What the gateway knows: first `early`, then `final` from step `changesAt` on. A declined customer
 * may try again and be approved, and a record may become visible late.
 */
export interface World {
  readonly early: 'none' | 'pending' | 'failure';
  readonly final: 'success' | 'failure' | 'pending';
  readonly changesAt: number;
  /** Whether a second usable token exists. */
  readonly hasSecond: boolean;
  /** Whether the gateway's answers name another token than its pushes. */
  readonly isIdOther: boolean;
}

/** One step of a history. `ask`: a query with an answer; `silence`: a query without one. */
export type Step =
  | { readonly kind: 'message'; readonly message: MessageEvidence; readonly isAnswered: boolean }
  | { readonly kind: 'ask' | 'silence' | 'disable' };

export interface History {
  readonly world: World;
  readonly start: 'submit_unknown' | 'awaiting_customer';
  readonly policy: ConfirmPolicy;
  readonly steps: readonly Step[];
  /** The step before which the customer's deadline passes; undefined: it passes after the last. */
  readonly deadlineAfter: number | undefined;
}

/** How a history ended. */
export interface Ending {
  readonly state: TokenizationState;
  readonly reviews: ReadonlySet<ReviewReason>;
  /** Names of the rules that the history broke. */
  readonly breaks: readonly string[];
}

/** Messages of every kind: forged or genuine, proven or not, about this token or another one. */
export const messages: fc.Arbitrary<MessageEvidence> = fc
  .record({
    channel: fc.constantFrom('redirect', 'notify'),
    isProven: fc.boolean(),
    isSigned: fc.boolean(),
    says: fc.constantFrom('success', 'failure', 'pending'),
    hasToken: fc.boolean(),
    isOtherToken: fc.boolean(),
    isAbandonedAttempt: fc.boolean(),
  })
  .map((message) => ({
    ...message,
    isSigned: message.isSigned || message.isProven,
    isOtherToken: message.hasToken && message.isOtherToken,
  }));

const worlds: fc.Arbitrary<World> = fc.record({
  early: fc.constantFrom('none', 'pending', 'failure'),
  final: fc.constantFrom('success', 'failure', 'pending'),
  changesAt: fc.nat(6),
  hasSecond: fc.boolean(),
  isIdOther: fc.boolean(),
});

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('message' as const),
      message: messages,
      isAnswered: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('ask', 'silence') }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'disable' } as const) },
);

/** Histories of at most `stepsMax` steps. Their proven messages are true: see `honest`. */
export function histories(stepsMax: number): fc.Arbitrary<History> {
  return fc
    .record({
      world: worlds,
      start: fc.constantFrom('submit_unknown', 'awaiting_customer'),
      policy: fc.constantFrom('query', 'signed'),
      steps: fc.array(steps, { maxLength: stepsMax }),
      deadlineAfter: fc.option(fc.nat(stepsMax), { nil: undefined }),
    })
    .map(honest);
}

/** Some steps of a history, each up to twice, in any order. */
export function shuffled(history: History): fc.Arbitrary<History> {
  return fc
    .shuffledSubarray([...history.steps, ...history.steps])
    .map((some) => honest({ ...history, steps: some }));
}

/**
 * Makes the proven messages true, now or earlier, because the gateway signed them. An approval
 * after a settled failure is known from a message alone, so the history then ends with a redirect,
 * which proves least.
 */
function honest(history: History): History {
  const { world } = history;
  const trueSteps = history.steps.map((step, index) =>
    step.kind === 'message' ? { ...step, message: truthful(step.message, world, index) } : step,
  );
  const approval = {
    channel: 'redirect',
    isProven: false,
    isSigned: false,
    says: 'success',
    hasToken: true,
    isOtherToken: false,
    isAbandonedAttempt: false,
  } as const;
  const isLate = world.final === 'success' && world.early === 'failure';
  return {
    ...history,
    steps: isLate
      ? [...trueSteps, { kind: 'message', message: approval, isAnswered: false }]
      : trueSteps,
  };
}

function truthful(message: MessageEvidence, world: World, index: number): MessageEvidence {
  if (!isProof(message)) return message;
  const hasChanged = index >= world.changesAt;
  // An abandoned attempt says nothing about the current one.
  if (message.isAbandonedAttempt) return { ...message, isOtherToken: false };
  const isSecondTrue = world.hasSecond && world.final === 'success';
  if (message.isOtherToken && message.says === 'success' && isSecondTrue) return message;
  const isTrue = message.says === world.early || (hasChanged && message.says === world.final);
  if (isTrue) return { ...message, isOtherToken: false };
  return { ...message, isProven: false };
}

/**
 * Plays a history: its steps, then as many answered queries as the worker's schedule makes at
 * least.
 */
export function play(history: History): Ending {
  const playback = new Playback(history);
  for (const [index, step] of history.steps.entries()) {
    if (history.deadlineAfter === index) playback.passDeadline();
    playback.take(step, index >= history.world.changesAt);
  }
  playback.passDeadline();
  for (let query = 0; query < queriesMax; query += 1) playback.ask(true);
  return playback.end();
}

const queriesMax = 4;

class Playback {
  private state: TokenizationState;
  private isDeadlineOver = false;
  private isExtended = false;
  /** Whether the worker queries a settled tokenization; it always queries an open one. */
  private isScheduled = false;
  private isTokenLearned = false;
  private wasDisabled = false;
  /** Contradictions that must end in a review. */
  private readonly expectedReviews = new Set<ReviewReason>();
  /** Messages that wait for an answer. */
  private waiting: MessageEvidence[] = [];
  private readonly reviews = new Set<ReviewReason>();
  private review: ReviewReason | null = null;
  private readonly breaks: string[] = [];
  private readonly history: History;

  constructor(history: History) {
    this.history = history;
    this.state = history.start;
  }

  passDeadline(): void {
    this.isDeadlineOver = true;
  }

  take(step: Step, hasChanged: boolean): void {
    switch (step.kind) {
      case 'message':
        this.receive(step.message, step.isAnswered ? this.viewAt(hasChanged) : 'unknown');
        break;
      case 'ask':
        this.ask(hasChanged);
        break;
      case 'silence':
        this.answer('unknown');
        break;
      case 'disable':
        if (this.state !== 'active') break;
        this.apply('token.disabling');
        this.apply('token.disabled');
        this.wasDisabled = true;
        // Of a disabled token the operator need not know that it had failed before.
        if (!this.reviews.has('failed_after_success'))
          this.expectedReviews.delete('failed_after_success');
    }
  }

  private viewAt(hasChanged: boolean): GatewayView {
    return hasChanged ? this.history.world.final : this.history.world.early;
  }

  private receive(received: MessageEvidence, answer: AnswerEvidence['says']): void {
    const before = this.state;
    // Before there is a token, no message can name another one.
    const message = { ...received, isOtherToken: received.isOtherToken && hasToken(before) };
    const decision = decideOnMessage(this.facts(), message, this.history.policy);
    if (decision === undefined) return;
    this.commit(decision);
    this.checkMessage(message, decision, before);
    const isProven = isProof(message);
    if (decision.event === 'evidence.accepted' && isProven && message.hasToken) {
      this.isTokenLearned ||= message.says === 'success';
    }
    if (!decision.needsQuery) return;
    if (decision.event !== undefined || (isProven && !hasToken(this.state))) {
      this.isScheduled = true;
    } else this.settleMessage(message, answer);
  }

  private checkMessage(
    message: MessageEvidence,
    { event, needsQuery }: Decision,
    before: TokenizationState,
  ): void {
    const isProven = isProof(message);
    const isMoved = this.state !== before;
    const rules = {
      unproven_evidence_settled: !isProven && isMoved && this.state !== 'confirming',
      unproven_evidence_extended: !isProven && event === 'evidence.pending',
      unverified_sender_stopped_resubmission:
        !message.isSigned && isMoved && before === 'submit_unknown',
      signed_request_left_lost:
        message.isSigned &&
        message.says !== 'pending' &&
        !message.isAbandonedAttempt &&
        this.state === 'submit_unknown',
      abandoned_attempt_failed: message.isAbandonedAttempt && event === 'tokenization.failed',
      failed_without_asking: event === 'tokenization.failed' && !needsQuery,
      success_without_asking:
        message.says === 'success' && !needsQuery && !hasToken(this.state) && before !== 'active',
    };
    for (const [rule, isBroken] of Object.entries(rules)) if (isBroken) this.breaks.push(rule);
    if (this.state === 'active' && before !== 'active') this.checkSigned(message);
    if (message.says === 'success' && message.isOtherToken && this.history.world.hasSecond) {
      this.expectedReviews.add('second_token');
    }
    const isFailure = message.says === 'failure' && isProven && !message.isAbandonedAttempt;
    if (isFailure && before === 'active') {
      this.expectedReviews.add('failed_after_success');
    }
  }

  private checkSigned(message: MessageEvidence): void {
    if (this.history.policy === 'query') this.breaks.push('activated_without_query');
    if (message.isAbandonedAttempt) this.breaks.push('activated_by_abandoned_attempt');
    if (!message.hasToken) this.breaks.push('activated_without_token');
  }

  /** Queries the gateway about one message, which waits while there is no answer. */
  private settleMessage(message: MessageEvidence, says: AnswerEvidence['says']): void {
    if (hasToken(this.state)) {
      this.settleContradiction(message, says);
      return;
    }
    const decision = decideOnClaim(this.facts(), message, this.evidence(says));
    if (decision === undefined) this.waiting.push(message);
    else this.commitAnswer(decision, says);
  }

  private settleContradiction(message: MessageEvidence, says: AnswerEvidence['says']): void {
    const { hasSecond } = this.history.world;
    const isAboutSecond = message.says === 'success';
    const ours = says === 'unknown' ? 'unknown' : 'success';
    const other = hasSecond ? 'success' : 'none';
    const answer = says === 'unknown' || !isAboutSecond ? ours : other;
    const decision = decideOnContradiction(this.facts(), message, answer);
    if (decision === undefined) this.waiting.push(message);
    else this.commit(decision);
  }

  /** Makes the scheduled query, then judges the waiting messages again. */
  ask(hasChanged: boolean): void {
    const view = this.viewAt(hasChanged);
    if (isOpen(this.state) || this.isScheduled) this.answer(view);
    const waiting = this.waiting;
    this.waiting = [];
    for (const message of waiting) this.receive(message, view);
  }

  private answer(says: AnswerEvidence['says']): void {
    const before = this.state;
    this.commitAnswer(decideOnAnswer(this.facts(), this.evidence(says)), says);
    if (says === 'unknown' && this.state !== before) this.breaks.push('silence_settled');
  }

  private commitAnswer(decision: Decision, says: AnswerEvidence['says']): void {
    const before = this.state;
    this.commit(decision);
    if (decision.event === 'evidence.pending' && says !== 'pending') {
      this.breaks.push('extended_without_confirmation');
    }
    if (decision.event === 'reconcile.settled') this.isScheduled = false;
    if (this.state === 'expired' && before !== 'expired') this.isScheduled = true;
    const isActivated = this.state === 'active' && before !== 'active';
    if (isActivated && says !== 'success') this.breaks.push('activated_by_another_answer');
    if (isActivated && this.evidence(says).isOtherToken) {
      this.expectedReviews.add('evidence_id_differs');
      if (!this.reviews.has('evidence_id_differs')) this.breaks.push('other_id_unseen');
    }
    if (this.state === 'expired' && before !== 'expired' && !this.isDeadlineOver) {
      this.breaks.push('expired_before_its_deadline');
    }
  }

  private evidence(says: AnswerEvidence['says']): AnswerEvidence {
    const isOtherToken = says === 'success' && this.isTokenLearned && this.history.world.isIdOther;
    return { says, isOtherToken };
  }

  private commit({ event, andThen, review }: Decision): void {
    for (const next of [event, andThen]) if (next !== undefined) this.apply(next);
    if (event === 'evidence.pending') {
      if (this.isExtended) this.breaks.push('deadline_extended_twice');
      this.isExtended = true;
    }
    if (event?.startsWith('conflict.') === true && review === undefined) {
      this.breaks.push('conflict_without_review');
    }
    if (review === undefined) return;
    if (this.review === review) this.breaks.push('flagged_twice');
    this.review = review;
    this.reviews.add(review);
  }

  private apply(event: TokenizationEvent): void {
    const to = nextState(tokenizationTransitions, this.state, event);
    if (to === undefined) this.breaks.push(`${event}_from_${this.state}`);
    else this.state = to;
  }

  private facts(): TokenizationFacts {
    return {
      state: this.state,
      isExtendable: this.state !== 'submit_unknown' && !this.isExtended,
      isDeadlineOver: this.isDeadlineOver,
      isFirstQueryScheduled: false,
      review: this.review,
    };
  }

  end(): Ending {
    const { world } = this.history;
    const hasEndedWithToken = hasToken(this.state);
    if (hasEndedWithToken !== (world.final === 'success')) this.breaks.push('ended_against_truth');
    if (hasEndedWithToken && (this.state === 'disabled') !== this.wasDisabled) {
      this.breaks.push('disabled_by_itself');
    }
    for (const review of this.reviews) {
      if (!this.expectedReviews.has(review)) this.breaks.push(`review_without_cause_${review}`);
    }
    for (const review of this.expectedReviews) {
      if (!this.reviews.has(review)) this.breaks.push(`unseen_${review}`);
    }
    return { state: this.state, reviews: this.reviews, breaks: this.breaks };
  }
}

function hasToken(state: TokenizationState): boolean {
  return state === 'active' || state === 'disabled';
}

/** Only a push can prove its sender; a redirect proves nothing. */
function isProof({ channel, isProven }: MessageEvidence): boolean {
  return channel === 'notify' && isProven;
}
