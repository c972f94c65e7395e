import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const deriveHash = promisify<string, Buffer, number, { N: number; r: number; p: number }, Buffer>(
  scrypt,
);
const cost = { N: 16_384, r: 8, p: 1 } as const;
const saltBytes = 16;
const hashBytes = 32;
const costMax = 1 << 20;

/** Hashes a password as `scrypt$N$r$p$salt$hash`, the form of `CONSOLE_PASSWORD_HASH`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const hash = await deriveHash(password, salt, hashBytes, cost);
  const { N, r, p } = cost;
  return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$');
}

/** Whether a password matches a hash, in constant time. A malformed hash matches nothing. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const parsed = /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([^$]+)\$([^$]+)$/.exec(hash);
  if (parsed === null) return false;
  const [, N = '', r = '', p = '', salt = '', expectedText = ''] = parsed;
  const expected = Buffer.from(expectedText, 'base64');
  if (expected.length === 0 || Number(N) > costMax) return false;
  try {
    const actual = await deriveHash(password, Buffer.from(salt, 'base64'), expected.length, {
      N: Number(N),
      r: Number(r),
      p: Number(p),
    });
    return timingSafeEqual(actual, expected);
  } catch {
    return false;
  }
}

/** Whether a text has the form of a password hash. */
export function isPasswordHash(text: string): boolean {
  return /^scrypt\$\d{1,7}\$\d{1,2}\$\d{1,2}\$[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*$/.test(text);
}
