import { createHash } from 'node:crypto';

/** A stream of unsigned 32-bit integers. The same start always gives the same stream. */
export type Random = () => number;

/**
 * A random stream of its own for every (seed, labels) pair, so that what one creation gets does not depend on which
 * others came before it. The labels are hashed to the full 128 bits of the generator's state: with a 32-bit state two of
 * a hundred thousand creations would already be likely to share their ids.
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

/** A number in [0, 1), for comparing with a rate. */
export function drawFraction(random: Random): number {
  return random() / 2 ** 32;
}

/** `sfc32` (Small Fast Counter) by Chris Doty-Humphrey, from PractRand, public domain. Not for cryptography. */
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
