import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type TokenizationFacts,
  decideOnAnswer,
  decideOnClaim,
  decideOnContradiction,
  decideOnMessage,
} from '../../src/domain/evidence.ts';
import { tokenizationStates } from '../../src/domain/tokenization.ts';
import { histories, messages, play, shuffled } from '../model/evidence-history.ts';

/** The long run is `npm run bench -- evidence`. */
const numRuns = 5_000;
const stepsMax = 10;

describe('decisions on evidence', () => {
  test('no random history of messages and answers breaks a rule or contradicts the last gateway answer', () => {
    fc.assert(
      fc.property(histories(stepsMax), (history) => {
        expect(play(history).breaks).toEqual([]);
      }),
      { numRuns },
    );
  });

  test('the order and repetition of messages do not change whether a token results', () => {
    const pairs = histories(stepsMax).chain((history) =>
      shuffled(history).map((other) => ({ history, other })),
    );
    fc.assert(
      fc.property(pairs, ({ history, other }) => {
        const ends = [play(history).state, play(other).state];
        // `failed` and `expired` both mean no token; which one it is depends on when the worker
        // asked. A disabling is not evidence, so one of the two histories may leave it out.
        const isToken = (state: string): boolean => state === 'active' || state === 'disabled';
        const [first, second] = ends.map(isToken);
        expect(second).toBe(first);
      }),
      { numRuns },
    );
  });

  test('no message changes an active token; only an answer of the gateway does', () => {
    fc.assert(
      fc.property(messages, fc.constantFrom('query', 'signed'), (message, policy) => {
        const facts = {
          state: 'active',
          isExtendable: true,
          isDeadlineOver: true,
          isFirstQueryScheduled: false,
          review: null,
        } as const;
        expect(decideOnMessage(facts, message, policy)?.event).toBeUndefined();
        expect(decideOnContradiction(facts, message, 'unknown')).toBeUndefined();
        const confirmed = decideOnContradiction(facts, message, 'success');
        expect(confirmed?.andThen).toBeUndefined();
        const failure = { ...message, says: 'failure' } as const;
        expect(decideOnContradiction(facts, failure, 'failure')?.andThen).toBe('token.disabled');
        const needsQuery = !message.isAbandonedAttempt;
        expect(decideOnMessage(facts, failure, policy)?.needsQuery).toBe(needsQuery);
      }),
    );
  });

  test('no message and no answer changes a disabled or expired token', () => {
    for (const state of ['disabling', 'disabled', 'token_expired'] as const) {
      const facts = {
        state,
        isExtendable: true,
        isDeadlineOver: true,
        isFirstQueryScheduled: false,
        review: null,
      };
      fc.assert(
        fc.property(messages, (message) => {
          const decision = decideOnMessage(facts, message, 'signed');
          expect(decision?.event).toBeUndefined();
          // A second token of the same request would stay usable.
          const needsQuery = message.says === 'success' && message.isOtherToken;
          expect(decision?.needsQuery).toBe(needsQuery);
          for (const says of ['success', 'none', 'pending'] as const) {
            expect(decideOnContradiction(facts, message, says)?.andThen).toBeUndefined();
          }
        }),
      );
      for (const says of ['success', 'failure', 'pending', 'none', 'unknown'] as const) {
        expect(decideOnAnswer(facts, { says, isOtherToken: true }).event).toBeUndefined();
      }
    }
  });

  test('an unproven pending extends the deadline once, and only when the gateway says pending too', () => {
    const facts = {
      state: 'awaiting_customer',
      isExtendable: true,
      isDeadlineOver: false,
      isFirstQueryScheduled: false,
      review: null,
    } as const;
    fc.assert(
      fc.property(messages, (any) => {
        const message = { ...any, says: 'pending', isProven: false } as const;
        const answered = (says: 'pending' | 'none', from: TokenizationFacts) =>
          decideOnClaim(from, message, { says, isOtherToken: false })?.event;
        expect(answered('pending', facts)).toBe('evidence.pending');
        expect(answered('none', facts)).toBeUndefined();
        expect(answered('pending', { ...facts, isExtendable: false })).toBeUndefined();
      }),
    );
  });

  test('a missing answer changes no state', () => {
    for (const state of tokenizationStates) {
      const facts = {
        state,
        isExtendable: true,
        isDeadlineOver: true,
        isFirstQueryScheduled: false,
        review: null,
      };
      expect(decideOnAnswer(facts, { says: 'unknown', isOtherToken: false }).event).toBeUndefined();
    }
  });
});
