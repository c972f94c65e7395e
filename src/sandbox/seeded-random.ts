import { createHash } from 'node:crypto';

/** A stream of unsigned 32-bit integers. Equal seeds give equal streams. */
export type Random = () => number;

/**
 * An independent random stream for each (seed, labels) pair, so that the ids of a creation do not
 * depend on the creations before it. The labels are hashed to the generator's full state of 128
 * bits: with 32 bits, two of a hundred thousand creations would probably share their ids.
 */
export function deriveRandom(seed: number, ...labels: readonly string[]): Random {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...labels]))
    .digest();
  return sfc32(
    digest.readInt32LE(0),
    digest.readInt32LE(4),
    digest.readInt32LE(8),
    digest.readInt32LE(12),
  );
}

/** A number in [0, 1), to compare with a rate. */
export function drawFraction(random: Random): number {
  return random() / 2 ** 32;
}

/** Random bytes. The length is a multiple of four. */
export function drawBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let offset = 0; offset < length; offset += 4) bytes.writeUInt32LE(random(), offset);
  return bytes;
}

/** `sfc32` (Small Fast Counter) by Chris Doty-Humphrey, public domain. Not for cryptography. */
function sfc32(a: number, b: number, c: number, counter: number): Random {
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
}
