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
import { histories, messages, play, retold } from '../model/evidence-history.ts';

/** The long run is `npm run bench -- evidence`. */
const numRuns = 5_000;
const stepsMax = 10;

describe('the evidence reducer', () => {
  test('no history of messages, silence and answers breaks a rule, and each ends as the truth is', () => {
    fc.assert(
      fc.property(histories(stepsMax), (history) => {
        expect(play(history).breaks).toEqual([]);
      }),
      { numRuns },
    );
  });

  test('any subset of the steps, doubled and shuffled, ends in the same state', () => {
    const pairs = histories(stepsMax).chain((told) =>
      retold(told).map((again) => ({ told, again })),
    );
    fc.assert(
      fc.property(pairs, ({ told, again }) => {
        const ends = [play(told).state, play(again).state];
        // Whether failed or expired comes first depends on when the gateway was reached, and both mean: no token. Disabling
        // is no evidence but a wish, which one telling may leave out.
        const isToken = (state: string): boolean => state === 'active' || state === 'disabled';
        const [first, second] = ends.map(isToken);
        expect(second).toBe(first);
      }),
      { numRuns },
    );
  });

  test('a token that works is touched by no message, only by what the gateway says of it', () => {
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
        const borneOut = decideOnContradiction(facts, message, 'success');
        expect(borneOut?.andThen).toBeUndefined();
        const failure = { ...message, says: 'failure' } as const;
        expect(decideOnContradiction(facts, failure, 'failure')?.andThen).toBe('token.disabled');
        const needsQuery = !message.isAbandonedAttempt;
        expect(decideOnMessage(facts, failure, policy)?.needsQuery).toBe(needsQuery);
      }),
    );
  });

  test('what is disabled or has run out stays so, whatever arrives', () => {
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
          // Another token of the same request would work on.
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

  test('an unproven "pending" gives more time only where the gateway says so too, and once', () => {
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

  test('silence is no answer in any state', () => {
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
