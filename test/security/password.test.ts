import { expect, test } from 'vitest';
import { hashPassword, verifyPassword } from '../../src/security/password.ts';

test('a password matches only its own hash', async () => {
  const hash = await hashPassword('correct horse');
  expect(await verifyPassword('correct horse', hash)).toBe(true);
  expect(await verifyPassword('wrong horse', hash)).toBe(false);
  for (const broken of ['', 'scrypt$1$1$1$$', 'plain', hash.replace('scrypt', 'bcrypt')]) {
    expect(await verifyPassword('correct horse', broken)).toBe(false);
  }
});
