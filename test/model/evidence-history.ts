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
 * What is true at the gateway: one view, until at step `turnsAt` it becomes another. A customer who was declined may try
 * again and be approved; a record may become visible late.
 */
export interface World {
  readonly early: 'none' | 'pending' | 'failure';
  readonly final: 'success' | 'failure' | 'pending';
  readonly turnsAt: number;
  /** Whether a second usable token exists. */
  readonly hasSecond: boolean;
  /** Whether the gateway names another token when asked than its pushes do. */
  readonly isIdOther: boolean;
}

/** One thing that happens. `silence`: the gateway is asked and gives no answer. */
export type Step =
  | { readonly kind: 'message'; readonly message: MessageEvidence; readonly isAnswered: boolean }
  | { readonly kind: 'ask' | 'silence' | 'disable' };

/** One random story. */
export interface History {
  readonly world: World;
  readonly start: 'submit_unknown' | 'awaiting_customer';
  readonly policy: ConfirmPolicy;
  readonly steps: readonly Step[];
  /** After how many steps the customer's time is over; undefined: only once all have come. */
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
  turnsAt: fc.nat(6),
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

/** Histories of at most `stepsMax` steps. A proven push is the gateway's own word, so it says what is or was true. */
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

/** The same history told otherwise: some of its steps, each up to twice, in any order. */
export function retold(history: History): fc.Arbitrary<History> {
  return fc
    .shuffledSubarray([...history.steps, ...history.steps])
    .map((some) => honest({ ...history, steps: some }));
}

/**
 * Lets proven messages say nothing that is not, or was not, true. An approval after a settled failure is known only from a
 * message, so one comes at last: by a browser, the least that there is.
 */
function honest(history: History): History {
  const { world } = history;
  const told = history.steps.map((step, index) =>
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
    steps: isLate ? [...told, { kind: 'message', message: approval, isAnswered: false }] : told,
  };
}

function truthful(message: MessageEvidence, world: World, index: number): MessageEvidence {
  if (!isProof(message)) return message;
  const isTurned = index >= world.turnsAt;
  // What became of another attempt says nothing about this one.
  if (message.isAbandonedAttempt) return { ...message, isOtherToken: false };
  const isSecondTold = world.hasSecond && world.final === 'success';
  if (message.isOtherToken && message.says === 'success' && isSecondTold) return message;
  const isSaid = message.says === world.early || (isTurned && message.says === world.final);
  if (isSaid) return { ...message, isOtherToken: false };
  return { ...message, isProven: false };
}

/** Plays a history: each step as it comes, then the gateway's answers for as long as the worker would ask. */
export function play(history: History): Ending {
  const story = new Story(history);
  for (const [index, step] of history.steps.entries()) {
    if (history.deadlineAfter === index) story.passDeadline();
    story.live(step, index >= history.world.turnsAt);
  }
  story.passDeadline();
  for (let look = 0; look < looksMax; look += 1) story.ask(true);
  return story.end();
}

const looksMax = 4;

class Story {
  private state: TokenizationState;
  private isDeadlineOver = false;
  private isExtended = false;
  /** Whether the worker will ask by itself; an open tokenization is always asked about. */
  private isScheduled = false;
  private isTokenLearned = false;
  private wasDisabled = false;
  /** Contradictions that have to end in a review. */
  private readonly owed = new Set<ReviewReason>();
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

  live(step: Step, isTurned: boolean): void {
    switch (step.kind) {
      case 'message':
        this.receive(step.message, step.isAnswered ? this.viewAt(isTurned) : 'unknown');
        break;
      case 'ask':
        this.ask(isTurned);
        break;
      case 'silence':
        this.answer('unknown');
        break;
      case 'disable':
        if (this.state !== 'active') break;
        this.apply('token.disabling');
        this.apply('token.disabled');
        this.wasDisabled = true;
        // Whoever disables a token need not know that it had failed before.
        if (!this.reviews.has('failed_after_success')) this.owed.delete('failed_after_success');
    }
  }

  private viewAt(isTurned: boolean): GatewayView {
    return isTurned ? this.history.world.final : this.history.world.early;
  }

  private receive(told: MessageEvidence, answer: AnswerEvidence['says']): void {
    const before = this.state;
    // Before there is a token, no message can name another one.
    const message = { ...told, isOtherToken: told.isOtherToken && hasToken(before) };
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
    } else this.settle(message, answer);
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
      stranger_stopped_resubmission: !message.isSigned && isMoved && before === 'submit_unknown',
      signed_request_left_lost:
        message.isSigned && !message.isAbandonedAttempt && this.state === 'submit_unknown',
      abandoned_attempt_failed: message.isAbandonedAttempt && event === 'tokenization.failed',
      failed_without_asking: event === 'tokenization.failed' && !needsQuery,
      success_without_asking:
        message.says === 'success' && !needsQuery && !hasToken(this.state) && before !== 'active',
    };
    for (const [rule, isBroken] of Object.entries(rules)) if (isBroken) this.breaks.push(rule);
    if (this.state === 'active' && before !== 'active') this.checkSigned(message);
    if (message.says === 'success' && message.isOtherToken && this.history.world.hasSecond) {
      this.owed.add('second_token');
    }
    const isFailure = message.says === 'failure' && isProven && !message.isAbandonedAttempt;
    if (isFailure && before === 'active') {
      this.owed.add('failed_after_success');
    }
  }

  private checkSigned(message: MessageEvidence): void {
    if (this.history.policy === 'query') this.breaks.push('activated_without_query');
    if (message.isAbandonedAttempt) this.breaks.push('activated_by_abandoned_attempt');
    if (!message.hasToken) this.breaks.push('activated_without_token');
  }

  /** Asks the gateway about one message, which waits while there is no answer. */
  private settle(message: MessageEvidence, says: AnswerEvidence['says']): void {
    if (hasToken(this.state)) {
      this.verifyContradiction(message, says);
      return;
    }
    const decision = decideOnClaim(this.facts(), message, this.evidence(says));
    if (decision === undefined) this.waiting.push(message);
    else this.commitAnswer(decision, says);
  }

  private verifyContradiction(message: MessageEvidence, says: AnswerEvidence['says']): void {
    const { hasSecond } = this.history.world;
    const isAboutSecond = message.says === 'success';
    const ours = says === 'unknown' ? 'unknown' : 'success';
    const other = hasSecond ? 'success' : 'none';
    const answer = says === 'unknown' || !isAboutSecond ? ours : other;
    const decision = decideOnContradiction(this.facts(), message, answer);
    if (decision === undefined) this.waiting.push(message);
    else this.commit(decision);
  }

  /** Asks as the schedule does, and on behalf of the messages that wait. */
  ask(isTurned: boolean): void {
    const view = this.viewAt(isTurned);
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
      this.breaks.push('extended_without_being_borne_out');
    }
    if (decision.event === 'reconcile.settled') this.isScheduled = false;
    if (this.state === 'expired' && before !== 'expired') this.isScheduled = true;
    const isActivated = this.state === 'active' && before !== 'active';
    if (isActivated && says !== 'success') this.breaks.push('activated_by_another_answer');
    if (isActivated && this.evidence(says).isOtherToken) {
      this.owed.add('evidence_id_differs');
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
    const isBelieved = hasToken(this.state);
    if (isBelieved !== (world.final === 'success')) this.breaks.push('ended_against_truth');
    if (isBelieved && (this.state === 'disabled') !== this.wasDisabled) {
      this.breaks.push('disabled_by_itself');
    }
    for (const review of this.reviews) {
      if (!this.owed.has(review)) this.breaks.push(`review_without_cause_${review}`);
    }
    for (const review of this.owed) {
      if (!this.reviews.has(review)) this.breaks.push(`unseen_${review}`);
    }
    return { state: this.state, reviews: this.reviews, breaks: this.breaks };
  }
}

function hasToken(state: TokenizationState): boolean {
  return state === 'active' || state === 'disabled';
}

/** Only a push can prove its sender; whatever passes through a browser proves nothing. */
function isProof({ channel, isProven }: MessageEvidence): boolean {
  return channel === 'notify' && isProven;
}
