import { expect, it } from 'vitest';
import { usePushes } from '../push-harness.ts';
import { signatureLists, signatureOf } from '../signature.ts';

const harness = await usePushes();
const { sandbox, client, createAndSettle, fieldsAt } = harness;

it('a push is XML with the field names of the redirect, signed by list Q1', async () => {
  await createAndSettle('sandbox:approve');
  expect(harness.receiver.pushes[0]?.contentType).toContain('application/xml');
  const fields = fieldsAt(0);
  expect(fields).toMatchObject({ code: '000', quickpay_status: '1', order_amount: '12.50' });
  expect(fields['merchant_reference_id']).toBe('ref-1');
  expect(fields['signature']).toBe(signatureOf(signatureLists.Q1, fields));
});

it('XML escapes merchant text', async () => {
  sandbox.setFaults({ pushSignature: 'Q3' });
  const methods = `<a>&"'`;
  await client.create('ref-1', {
    methods,
    remark: 'sandbox:approve',
    notifyUrl: harness.receiver.url,
  });
  await sandbox.settled();
  const fields = fieldsAt(0);
  expect(fields['order_methods']).toBe(methods);
  expect(fields['signature']).toBe(signatureOf(signatureLists.Q3, fields));
});

it('pushFormat json sends a flat object, and form keeps repeated names', async () => {
  sandbox.setFaults({ pushFormat: 'json' });
  await createAndSettle('sandbox:approve');
  expect(harness.receiver.pushes[0]?.contentType).toContain('application/json');
  expect(JSON.parse(harness.receiver.pushes[0]?.body ?? '')).toMatchObject({
    quickpay_status: '1',
  });
  sandbox.setFaults({ pushFormat: 'form' });
  await createAndSettle('sandbox:approve', 'ref-2');
  expect(harness.receiver.pushes[1]?.contentType).toContain('application/x-www-form-urlencoded');
  const form = new URLSearchParams(harness.receiver.pushes[1]?.body);
  expect(form.getAll('card_number')).toHaveLength(2);
  expect(form.get('merchant_reference_id')).toBe('ref-2');
});

it.each(['Q1', 'Q2', 'Q3'] as const)('pushSignature %s signs by that list', async (rule) => {
  sandbox.setFaults({ pushSignature: rule });
  await createAndSettle('sandbox:approve');
  const fields = fieldsAt(0);
  expect(fields['signature']).toBe(signatureOf(signatureLists[rule], fields));
});

it('pushSignature none omits the signature, and wrong sends an invalid one', async () => {
  sandbox.setFaults({ pushSignature: 'none' });
  await createAndSettle('sandbox:approve');
  expect(fieldsAt(0)).not.toHaveProperty('signature');
  sandbox.setFaults({ pushSignature: 'wrong' });
  await createAndSettle('sandbox:approve', 'ref-2');
  const fields = fieldsAt(1);
  expect(fields['signature']).toMatch(/^[0-9A-F]{64}$/);
  expect(fields['signature']).not.toBe(signatureOf(signatureLists.Q1, fields));
});

it('a failure has no token id', async () => {
  await createAndSettle('sandbox:decline');
  expect(fieldsAt(0)).toMatchObject({ quickpay_status: '0', quickpay_id: '' });
});
