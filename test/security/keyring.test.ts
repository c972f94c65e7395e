import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { hashPassword, verifyPassword } from '../../src/security/password.ts';
import { Secret } from '../../src/security/secret.ts';

const place = { table: 'tokenization', column: 'quickpay_id_sealed', rowId: 'row-1' };
const oldKey = generateEncryptionKey('k1');
const newKey = generateEncryptionKey('k2');

describe('the keyring', () => {
  test('opens what it sealed, and seals the same value differently each time', () => {
    const keyring = createKeyring([oldKey]);
    const sealed = keyring.seal(place, 'ünï-value');
    expect(keyring.open(place, sealed).reveal()).toBe('ünï-value');
    expect(sealed).not.toContain('value');
    expect(keyring.seal(place, 'ünï-value')).not.toBe(sealed);
  });

  test.each([
    { ...place, rowId: 'row-2' },
    { ...place, column: 'request_sealed' },
    { ...place, table: 'callback' },
  ])('a value moved to $table $column $rowId can not be opened', (elsewhere) => {
    const keyring = createKeyring([oldKey]);
    expect(() => keyring.open(elsewhere, keyring.seal(place, 'x'))).toThrow(
      expect.objectContaining({ code: 'seal_broken' }),
    );
  });

  test('a value whose bytes were altered can not be opened', () => {
    const keyring = createKeyring([oldKey]);
    // Two bytes fill the last character; of one byte it holds spare bits, and a change of those alters nothing.
    const sealed = keyring.seal(place, 'xy');
    const flipped = sealed.slice(0, -1) + (sealed.endsWith('A') ? 'B' : 'A');
    for (const altered of [flipped, sealed.slice(0, 12), 'v1.k1', '']) {
      expect(() => keyring.open(place, altered)).toThrow(
        expect.objectContaining({ code: 'seal_broken' }),
      );
    }
  });

  test('after a rotation old values open and are found, and new ones use the new key', () => {
    const before = createKeyring([oldKey]);
    const after = createKeyring([newKey, oldKey]);
    expect(after.open(place, before.seal(place, 'x')).reveal()).toBe('x');
    expect(after.seal(place, 'x')).toMatch(/^v1\.k2\./);
    expect(after.matchesBlindIndex('p', 'x', before.blindIndex('p', 'x'))).toBe(true);
    expect(after.blindIndexes('p', 'x')).toContain(before.blindIndex('p', 'x'));
    expect(() => before.open(place, after.seal(place, 'x'))).toThrow(
      expect.objectContaining({ code: 'key_unknown' }),
    );
  });

  test('blind indexes differ by value, purpose and key', () => {
    const keyring = createKeyring([oldKey]);
    const index = keyring.blindIndex('quickpay_id', 'x');
    expect(keyring.matchesBlindIndex('quickpay_id', 'y', index)).toBe(false);
    expect(keyring.matchesBlindIndex('customer', 'x', index)).toBe(false);
    expect(createKeyring([newKey]).matchesBlindIndex('quickpay_id', 'x', index)).toBe(false);
  });
});

test('a secret does not show in any form of printing', () => {
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

test('a password fits its own hash only', async () => {
  const hash = await hashPassword('correct horse');
  expect(await verifyPassword('correct horse', hash)).toBe(true);
  expect(await verifyPassword('wrong horse', hash)).toBe(false);
  for (const broken of ['', 'scrypt$1$1$1$$', 'plain', hash.replace('scrypt', 'bcrypt')]) {
    expect(await verifyPassword('correct horse', broken)).toBe(false);
  }
});
