import { describe, expect, test } from 'vitest';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';

const place = { table: 'tokenization', column: 'quickpay_id_sealed', rowId: 'row-1' };
const oldKey = generateEncryptionKey('k1');
const newKey = generateEncryptionKey('k2');

describe('keyring', () => {
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
  ])('refuses to open a value moved to $table $column $rowId', (elsewhere) => {
    const keyring = createKeyring([oldKey]);
    expect(() => keyring.open(elsewhere, keyring.seal(place, 'x'))).toThrow(
      expect.objectContaining({ code: 'seal_broken' }),
    );
  });

  test('refuses to open an altered value', () => {
    const keyring = createKeyring([oldKey]);
    // A value of two bytes uses all bits of the last base64 character, so changing it alters data.
    const sealed = keyring.seal(place, 'xy');
    const flipped = sealed.slice(0, -1) + (sealed.endsWith('A') ? 'B' : 'A');
    for (const altered of [flipped, sealed.slice(0, 12), 'v1.k1', '']) {
      expect(() => keyring.open(place, altered)).toThrow(
        expect.objectContaining({ code: 'seal_broken' }),
      );
    }
  });

  test('opens and finds old values after a key rotation, and seals with the new key', () => {
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

  test('makes different blind indexes per value, purpose and key', () => {
    const keyring = createKeyring([oldKey]);
    const index = keyring.blindIndex('quickpay_id', 'x');
    expect(keyring.matchesBlindIndex('quickpay_id', 'y', index)).toBe(false);
    expect(keyring.matchesBlindIndex('customer', 'x', index)).toBe(false);
    expect(createKeyring([newKey]).matchesBlindIndex('quickpay_id', 'x', index)).toBe(false);
  });
});
