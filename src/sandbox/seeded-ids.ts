import type { Random } from './seeded-random.ts';

/** A version 4 UUID drawn from the seeded stream, in the form of a QuickPay ID. */
export function drawUuid(random: Random): string {
  const bytes = drawBytes(random, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * An order reference: 21 digits. The gateway's own look like a time and a counter; a real time would make two runs with
 * the same seed differ, so the leading date is fixed.
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
 * A refresh token that looks like the gateway's sample: a JWT with `op_id` and `sign_date` only, so no expiry can be read
 * from it. `sign_date` counts issues instead of seconds, for the sake of equal runs.
 */
export function drawRefreshToken(random: Random, opId: string, issueNumber: number): string {
  const header = Buffer.from('{"alg":"HS512"}').toString('base64url');
  const payload = { op_id: opId, sign_date: 1_753_920_000 + issueNumber };
  const body = Buffer.from(JSON.stringify(payload)).toString('base64url');
  return `${header}.${body}.${drawBytes(random, 64).toString('base64url')}`;
}

function drawBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let offset = 0; offset < length; offset += 4) bytes.writeUInt32LE(random(), offset);
  return bytes;
}
