import { randomBytes } from 'node:crypto';
import { sha256Hex } from './digest.ts';
import { Secret } from './secret.ts';

const prefix = 'tlw_';
const keyBytes = 32;

/** Generates an API key. Its prefix lets secret scanners recognize a leaked key. */
export function generateApiKey(): Secret {
  return new Secret(`${prefix}${randomBytes(keyBytes).toString('base64url')}`);
}

/** The SHA-256 of an API key in hex, as stored in the database and in `API_KEYS`. */
export function apiKeyDigest(key: string): string {
  return sha256Hex(key);
}
