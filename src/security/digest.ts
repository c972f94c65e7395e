import { createHash } from 'node:crypto';

/**
 * The SHA-256 of a text in hex. For secrets with so many random bits that they can't all be tried;
 * a password needs `hashPassword`.
 */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
