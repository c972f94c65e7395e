import { type Random, drawBytes } from './seeded-random.ts';

/** A version 4 UUID, the form of a QuickPay ID. */
export function drawUuid(random: Random): string {
  const bytes = drawBytes(random, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * An order reference of 21 digits. The gateway's references look like a time and a counter; the
 * time here is fixed, because the real time would make two runs with the same seed differ.
 */
export function drawOrderReference(random: Random): string {
  const high = String(random() % 10_000_000).padStart(7, '0');
  const low = String(random() % 100_000_000).padStart(8, '0');
  return `260401${high}${low}`;
}

/** An opaque access token: 43 characters of base64url. */
export function drawAccessToken(random: Random): string {
  return drawBytes(random, 32).toString('base64url');
}

/**
 * A refresh token like the gateway's sample: a JWT with `op_id` and `sign_date` only, so that its
 * expiry cannot be read from it. `sign_date` counts issues instead of seconds, because the real
 * time would make two runs with the same seed differ.
 */
export function drawRefreshToken(random: Random, opId: string, issueNumber: number): string {
  const header = Buffer.from('{"alg":"HS512"}').toString('base64url');
  const payload = { op_id: opId, sign_date: 1_753_920_000 + issueNumber };
  const body = Buffer.from(JSON.stringify(payload)).toString('base64url');
  return `${header}.${body}.${drawBytes(random, 64).toString('base64url')}`;
}
