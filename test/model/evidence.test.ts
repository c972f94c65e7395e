import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideOnAnswer, decideOnDispute, decideOnMessage } from '../../src/domain/evidence.ts';
import { tokenizationStates } from '../../src/domain/tokenization.ts';
import { histories, type History, messages, play } from './evidence-history.ts';

const numRuns = 5_000;
const messagesMax = 8;

describe('the evidence reducer', () => {
  test('no history of messages, silence and answers breaks a rule, and each ends as the truth is', () => {
    fc.assert(
      fc.property(histories(messagesMax), (history) => {
        expect(play(history).breaks).toEqual([]);
      }),
      { numRuns },
    );
  });

  test('any subset of the messages, duplicated and shuffled, ends in the same state', () => {
    const shuffled = histories(messagesMax).chain((history) =>
      fc
        .record({
          some: fc.shuffledSubarray([...history.messages, ...history.messages]),
          answers: fc.array(fc.constantFrom('none', 'silent', 'truth'), {
            minLength: messagesMax * 2,
            maxLength: messagesMax * 2,
          }),
        })
        .map(({ some, answers }): [History, History] => [
          { ...history, deadlineAfter: undefined },
          { ...history, messages: some, answers, deadlineAfter: undefined },
        ]),
    );
    fc.assert(
      fc.property(shuffled, ([told, retold]) => {
        const states = [play(told).state, play(retold).state];
        // Whether failed or expired comes first depends on when the gateway was reached, and both mean: no token.
        expect(states.map((state) => (state === 'active' ? 'active' : 'no token'))).toEqual(
          states.map(() => (told.truth === 'active' ? 'active' : 'no token')),
        );
        expect(told.truth === 'failed' || states[1] === states[0]).toBe(true);
      }),
      { numRuns },
    );
  });

  test('a token that works is touched by no message, only by what the gateway says of it', () => {
    fc.assert(
      fc.property(messages, fc.constantFrom('query', 'signed'), (message, policy) => {
        const belief = {
          state: 'active',
          isExtendable: true,
          isDeadlineOver: true,
          isAskedSoon: false,
          isInReview: false,
        } as const;
        expect(decideOnMessage(belief, message, policy)?.event).toBeUndefined();
        expect(decideOnDispute(belief, message, 'unknown')).toBeUndefined();
        const borneOut = decideOnDispute(belief, message, 'success');
        expect(borneOut?.andThen).toBeUndefined();
      }),
    );
  });

  test('what is disabled or has run out stays so, whatever arrives', () => {
    for (const state of ['disabling', 'disabled', 'token_expired'] as const) {
      const belief = {
        state,
        isExtendable: true,
        isDeadlineOver: true,
        isAskedSoon: false,
        isInReview: false,
      };
      fc.assert(
        fc.property(messages, (message) => {
          expect(decideOnMessage(belief, message, 'signed')?.event).toBeUndefined();
          expect(decideOnMessage(belief, message, 'signed')?.isAsking).toBe(false);
        }),
      );
      for (const says of ['success', 'failure', 'pending', 'none', 'unknown'] as const) {
        expect(decideOnAnswer(belief, { says, isOtherToken: true }).event).toBeUndefined();
      }
    }
  });

  test('silence is no answer in any state', () => {
    for (const state of tokenizationStates) {
      const belief = {
        state,
        isExtendable: true,
        isDeadlineOver: true,
        isAskedSoon: false,
        isInReview: false,
      };
      expect(
        decideOnAnswer(belief, { says: 'unknown', isOtherToken: false }).event,
      ).toBeUndefined();
    }
  });
});
