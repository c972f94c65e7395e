import { randomBytes } from 'node:crypto';
import { sha256Hex } from './digest.ts';

const addressBytes = 16;

/** Generates the last path segment of a per-request callback URL: 128 random bits. */
export function generateCallbackAddress(): string {
  return randomBytes(addressBytes).toString('base64url');
}

/** The SHA-256 of a callback address in hex. The database stores no address, only this digest. */
export function callbackAddressDigest(address: string): string {
  return sha256Hex(address);
}
