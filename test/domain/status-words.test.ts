import { describe, expect, test } from 'vitest';
import {
  isStatusBorderClear,
  statusMeaningOf,
  usualStatusMap,
} from '../../src/domain/status-words.ts';

test('an unlisted status has no meaning, nor has an inherited property name such as constructor', () => {
  expect(statusMeaningOf('1', usualStatusMap)).toBe('active');
  for (const word of ['2', '', 'constructor', undefined]) {
    expect(statusMeaningOf(word, usualStatusMap)).toBeUndefined();
  }
});

describe('the border between QuickPay ID and status in a signed text', () => {
  test.each([
    [['1', '0', '-1'], true],
    [['SUCCESS', 'FAILED', 'PENDING'], true],
    [['active', 'inactive'], false],
    [['1', '01'], false],
    [['1', '1'], true],
    [['1', '--1'], true],
    [['1', '*1'], true],
  ])('with the words %j is clear: %s', (words, isClear) => {
    const map = Object.fromEntries(words.map((word) => [word, 'active' as const]));
    expect(isStatusBorderClear(map)).toBe(isClear);
  });
});
