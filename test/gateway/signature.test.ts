import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  type Sanitizing,
  computeSignature,
  sanitize,
  verifySignature,
} from '../../src/gateway/signature.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { Secret } from '../../src/security/secret.ts';

const listName = z.custom<keyof typeof signatureFields>(
  (value) => typeof value === 'string' && value in signatureFields,
);
const vector = z.object({
  id: z.string(),
  list: listName,
  secret: z.string(),
  values: z.record(z.string(), z.string()).default({}),
  sha256: z.string(),
});
const vectors = z
  .object({
    published: z.array(vector),
    own: z.array(vector),
    candidates: z.array(vector),
    sanitized: z.array(
      z.object({ id: z.string(), way: z.custom<Sanitizing>(), sha256: z.string() }),
    ),
    redirect: z.record(z.string(), z.string()),
  })
  .parse(
    JSON.parse(await readFile(new URL('../vectors/signatures.json', import.meta.url), 'utf8')),
  );

describe('signature', () => {
  test.each([...vectors.published, ...vectors.own])(
    'of vector $id equals the published one',
    ({ list, secret, values, sha256 }) => {
      expect(computeSignature(signatureFields[list], values, new Secret(secret))).toBe(sha256);
    },
  );

  test.each(vectors.candidates)(
    'of the sample redirect by candidate list $id equals the vector',
    ({ list, secret, sha256 }) => {
      const fields = signatureFields[list];
      expect(computeSignature(fields, vectors.redirect, new Secret(secret))).toBe(sha256);
    },
  );

  test.each(vectors.sanitized)('over names sanitized by "$way" equals $id', ({ way, sha256 }) => {
    const values = {
      account: '995149',
      terminal: '99514901',
      order_number: 'ord-1004',
      order_currency: 'USD',
      order_amount: '9.90',
      billing_firstName: sanitize(' Sean "Jr" O\'Neil ', way),
      billing_lastName: 'Doe',
      billing_email: 's@example.com',
    };
    const signature = computeSignature(signatureFields.a2, values, new Secret('sandbox-secret-01'));
    expect(signature).toBe(sha256);
  });

  const secureCodes = [new Secret('current'), new Secret('previous')];
  const values = vectors.redirect;
  const candidates = { Q1: signatureFields.Q1, Q2: signatureFields.Q2 };
  const signed = (code: string): string =>
    computeSignature(signatureFields.Q2, values, new Secret(code));

  test('by the previous secure code verifies during a rotation, also in upper-case hex', () => {
    const signature = signed('previous').toUpperCase();
    expect(verifySignature({ values, signature, candidates, secureCodes })).toEqual({
      verdict: 'verified',
      list: 'Q2',
      secureCodeIndex: 1,
    });
  });

  test.each([
    ['mismatch', signed('another')],
    ['mismatch', '0'.repeat(64)],
    ['malformed', signed('current').slice(1)],
    ['malformed', `${signed('current').slice(1)}g`],
    ['absent', ''],
    ['absent', undefined],
  ])('that is wrong gets the verdict %s', (verdict, signature) => {
    expect(verifySignature({ values, signature, candidates, secureCodes })).toEqual({ verdict });
  });

  test('is equal for two messages with shifted field borders, so it never suffices alone', () => {
    const honest = { ...values, order_amount: '9.90', order_notes: '' };
    const forged = { ...values, order_amount: '9.9', order_notes: '0' };
    const code = new Secret('current');
    expect(computeSignature(signatureFields.Q2, forged, code)).toBe(
      computeSignature(signatureFields.Q2, honest, code),
    );
  });
});
