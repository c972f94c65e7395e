import { expect, test } from 'vitest';
import { fieldsBeyondInferredLength } from '../../../src/domain/payload/inferred-lengths.ts';
import { tokenizationRequestPayload } from '../../../src/domain/payload/job-payloads.ts';
import { requestPayload } from '../../support/builders.ts';

const withBilling = (billing: object) => {
  const payload = requestPayload();
  return { ...payload, billing: { ...payload.billing, ...billing } };
};

test('a value beyond the probable length is accepted, and its field is named', () => {
  const long = withBilling({ firstname: 'Å'.repeat(51), email: `${'a'.repeat(50)}@example.com` });
  expect(tokenizationRequestPayload.safeParse(long).success).toBe(true);
  expect(fieldsBeyondInferredLength(long)).toEqual(['billing.firstname', 'billing.email']);
  expect(fieldsBeyondInferredLength(withBilling({ firstname: 'A'.repeat(50) }))).toEqual([]);
});

test('an absurd value is refused', () => {
  const absurd = withBilling({ firstname: 'A'.repeat(201) });
  expect(tokenizationRequestPayload.safeParse(absurd).success).toBe(false);
});
