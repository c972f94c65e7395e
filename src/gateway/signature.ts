import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../security/secret.ts';

/** Values by field name, as sent or received: before trimming, number formatting or escaping. */
export type SignedValues = Readonly<Record<string, string | undefined>>;

/** The result of a signature check. */
export type SignatureVerdict =
  | { readonly verdict: 'verified'; readonly list: string; readonly secureCodeIndex: number }
  | { readonly verdict: 'mismatch' }
  | { readonly verdict: 'absent' }
  | { readonly verdict: 'malformed' };

/**
 * The signature of a message: SHA-256 over the values of `fields` in order, without separators,
 * with the secure code last, in lower-case hex. A missing value counts as empty.
 *
 * Without separators two messages can share a signature (`9.90` + `` and `9.9` + `0`). So even
 * after a match each value must be compared with the stored one.
 */
export function computeSignature(
  fields: readonly string[],
  values: SignedValues,
  secureCode: Secret,
): string {
  return createHash('sha256')
    .update(signatureText(fields, values) + secureCode.reveal(), 'utf8')
    .digest('hex');
}

/** The signed text, without the secure code. */
export function signatureText(fields: readonly string[], values: SignedValues): string {
  return fields
    .map((field) => (Object.hasOwn(values, field) ? (values[field] ?? '') : ''))
    .join('');
}

/**
 * Checks a signature against every candidate list under every secure code, the current one first.
 * The gateway prints hex in both cases, so case does not matter. Each comparison is constant-time.
 */
export function verifySignature(message: {
  readonly values: SignedValues;
  readonly signature: string | undefined;
  readonly candidates: Readonly<Record<string, readonly string[]>>;
  readonly secureCodes: readonly Secret[];
}): SignatureVerdict {
  const { values, signature, candidates, secureCodes } = message;
  if (signature === undefined || signature === '') return { verdict: 'absent' };
  if (!/^[0-9a-f]{64}$/i.test(signature)) return { verdict: 'malformed' };
  const received = Buffer.from(signature, 'hex');
  for (const [secureCodeIndex, secureCode] of secureCodes.entries()) {
    for (const [list, fields] of Object.entries(candidates)) {
      const expected = Buffer.from(computeSignature(fields, values, secureCode), 'hex');
      if (timingSafeEqual(received, expected))
        return { verdict: 'verified', list, secureCodeIndex };
    }
  }
  return { verdict: 'mismatch' };
}

/** The way to treat characters that the gateway does not sign. Each way trims both ends first. */
export type Sanitizing = 'remove' | 'space' | 'entity';

const entities: Readonly<Record<string, string>> = {
  '"': '&quot;',
  "'": '&#039;',
  '<': '&lt;',
  '>': '&gt;',
};

/**
 * A name or e-mail address as the form gateway signs it. The vendor does not document which way.
 */
export function sanitize(value: string, way: Sanitizing): string {
  return value.trim().replaceAll(/["'<>]/g, (character) => {
    switch (way) {
      case 'remove':
        return '';
      case 'space':
        return ' ';
      case 'entity':
        return entities[character] ?? '';
    }
  });
}
