import { createHash, randomBytes } from 'node:crypto';
import { Secret } from './secret.ts';

const prefix = 'tlw_';
const keyBytes = 32;

/** A fresh API key. The prefix lets scanners of leaked secrets recognise it. */
export function generateApiKey(): Secret {
  return new Secret(`${prefix}${randomBytes(keyBytes).toString('base64url')}`);
}

/** The SHA-256 of an API key in hex: what is stored, and what `API_KEYS` takes. */
export function apiKeyDigest(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
