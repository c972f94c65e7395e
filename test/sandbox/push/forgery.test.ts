import { expect, it } from 'vitest';
import { usePushes } from '../push-harness.ts';
import { signatureLists, signatureOf } from '../signature.ts';

const harness = await usePushes();
const { sandbox, client, createAndSettle, fieldsAt, pushKinds } = harness;

it('the sandbox sends each forged push once: the first with a wrong signature, the others with valid ones', async () => {
  sandbox.setFaults({ forgedPushes: 3 });
  harness.receiver.answer = { status: 500, body: '' };
  await createAndSettle('sandbox:approve');
  expect(pushKinds()).toStrictEqual(['forged', 'forged', 'forged', 'result']);
  expect(harness.receiver.pushes).toHaveLength(3 + 5);
  const token = (await client.queryReference('ref-1')).data.quickpay.id as string;
  const [invented, shortened, extended] = [fieldsAt(0), fieldsAt(1), fieldsAt(2)];
  expect(invented['quickpay_id']).not.toBe(token);
  expect(invented['signature']).not.toBe(signatureOf(signatureLists.Q1, invented));
  expect(shortened['signature']).toBe(signatureOf(signatureLists.Q1, shortened));
  expect(shortened['quickpay_id']).toBe(token.slice(0, -1));
  expect(shortened['quickpay_status']).toBe(`${token.slice(-1)}1`);
  expect(extended['signature']).toBe(signatureOf(signatureLists.Q1, extended));
  expect(extended).toMatchObject({ merchant_reference_id: 'ref-', quickpay_id: `1${token}` });
});

it('forged pushes claim an approval after the customer left, and shift field borders after a decline', async () => {
  sandbox.setFaults({ forgedPushes: 2, dropPushes: true });
  const { data } = await client.create('ref-1', { notifyUrl: harness.receiver.url });
  await client.decide(data.order.referenceId, 'abandon');
  await sandbox.settled();
  expect([0, 1].map((index) => fieldsAt(index)['quickpay_status'])).toStrictEqual(['1', '1']);
  await client.decide(data.order.referenceId, 'decline');
  await sandbox.settled();
  const shifted = fieldsAt(3);
  expect(shifted['merchant_reference_id']).toBe('ref-');
  expect(shifted['signature']).toBe(signatureOf(signatureLists.Q1, shifted));
});
