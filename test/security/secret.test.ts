import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Secret } from '../../src/security/secret.ts';

test('a secret is hidden in every form of printing', () => {
  const secret = new Secret('hunter2');
  const printed = [
    String(secret),
    JSON.stringify({ secret }),
    inspect({ secret }),
    inspect(secret, { showHidden: true, depth: 5 }),
  ];
  expect(printed.join()).not.toContain('hunter2');
  expect(secret.reveal()).toBe('hunter2');
});
