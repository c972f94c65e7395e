import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import type { SignaturePolicy } from '../../src/execution/dependencies.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { computeSignature, signatureText } from '../../src/gateway/signature.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { type JobHarness, redirectWithoutPush } from '../support/harness/job-harness.ts';
import { runJob } from '../support/harness/run-job.ts';
import { test } from '../support/harness/harness-test.ts';

/** Pushes a signed failure, judges it under a policy, and returns the audit row of the verdict. */
async function judgePush(
  { account, dependencies, storeMessage }: JobHarness,
  reference: string,
  policy: SignaturePolicy,
  signed: {
    list: keyof typeof signatureFields;
    secureCode: Secret;
    /** The field that holds the signature. */
    name?: string;
    isUpperCase?: boolean;
  },
) {
  const request = await dependencies.db
    .selectFrom('tokenization')
    .select('order_reference_id')
    .where('merchant_reference_id', '=', reference)
    .executeTakeFirst();
  const orderReference = request?.order_reference_id ?? '';
  const values: Record<string, string> = {
    account: account.account,
    terminal: account.terminal,
    merchant_reference_id: reference,
    order_reference_id: orderReference,
    order_currency: 'EUR',
    order_amount: '12.50',
    quickpay_status: '0',
  };
  const signature = computeSignature(signatureFields[signed.list], values, signed.secureCode);
  values[signed.name ?? 'signature'] =
    signed.isUpperCase === true ? signature.toUpperCase() : signature;
  const id = await storeMessage('notify', values);
  const settings = {
    ...dependencies.settings,
    signatures: { ...dependencies.settings.signatures, notify: policy },
  };
  await runJob('notify.handle', { callbackId: id }, { ...dependencies, settings });
  return await dependencies.db
    .selectFrom('audit_event')
    .select(['to_state', 'reason', 'detail'])
    .where('entity_id', '=', id)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
}

describe('signature mode', () => {
  test('observe records which field list matched, and proves nothing by it', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id, merchant_reference_id: reference } = await harness.open(redirectWithoutPush);
    const { secureCode } = harness.account;
    const signed = { list: 'Q2', secureCode } as const;
    const verdict = await judgePush(harness, reference, { mode: 'observe' }, signed);
    expect(verdict.detail).toMatchObject({ signatureVerdict: 'verified', signatureList: 'Q2' });
    expect((await harness.row(id)).state).toBe('confirming');
  });

  test('off ignores signatures', async ({ openJobHarness }) => {
    const harness = await openJobHarness();
    const { id, merchant_reference_id: reference } = await harness.open(redirectWithoutPush);
    const signed = { list: 'Q1', secureCode: new Secret('x') } as const;
    const verdict = await judgePush(harness, reference, { mode: 'off' }, signed);
    expect(verdict.detail).toMatchObject({ signatureVerdict: 'off' });
    expect((await harness.row(id)).state).toBe('confirming');
  });

  test('verify rejects another field list, and the configured list under a wrong secure code', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const before = await harness.open(redirectWithoutPush);
    const policy = { mode: 'verify', fields: signatureFields.Q1 } as const;
    for (const signed of [
      { list: 'Q2', secureCode: harness.account.secureCode },
      { list: 'Q1', secureCode: new Secret('wrong') },
    ] as const) {
      const verdict = await judgePush(harness, before.merchant_reference_id, policy, signed);
      expect(verdict).toMatchObject({ to_state: 'rejected', reason: 'signature_mismatch' });
    }
    expect(await harness.row(before.id)).toEqual(before);
  });

  test.for([
    { name: 'signature', isUpperCase: false },
    { name: 'signature', isUpperCase: true },
    { name: 'signValue', isUpperCase: false },
  ])(
    'verify accepts the previous secure code during a rotation: $name, upper case $isUpperCase',
    async (signed, { openJobHarness }) => {
      const harness = await openJobHarness();
      const { id, merchant_reference_id: reference } = await harness.open(redirectWithoutPush);
      const { account, terminal, secureCode: previous } = harness.account;
      await storeCredential(
        harness.dependencies,
        {
          name: 'default',
          environment: 'sandbox',
          family: 'accept_payments',
          account,
          terminal,
          secrets: { secureCode: 'the-new-code', secureCodePrevious: previous.reveal() },
        },
        testActor,
      );
      const policy = { mode: 'verify', fields: signatureFields.Q1 } as const;
      const verdict = await judgePush(harness, reference, policy, {
        list: 'Q1',
        secureCode: previous,
        ...signed,
      });
      expect(verdict).toMatchObject({
        to_state: 'accepted',
        detail: { signatureVerdict: 'verified' },
      });
      expect((await harness.row(id)).state).toBe('failed');
    },
  );
});

test.for([
  {
    what: 'a payment',
    list: 'c1',
    fields: { notice_type: 'transaction', order_number: 'ord-1001', payment_status: '1' },
  },
  {
    what: 'a payment with a token, in the older form',
    list: 'c1',
    fields: { payment_id: '260401093541829655068', payment_status: '1', quickpay_id: '3f1c8c1e' },
  },
  { what: 'a refund', list: 'a5', fields: { notice_type: 'refund', push_status: '1' } },
] as const)(
  'a signed push about $what is rejected as not_a_token_message',
  async ({ list, fields }, { openJobHarness }) => {
    const { dependencies, account, run } = await openJobHarness();
    const push: Record<string, string> = {
      account: account.account,
      terminal: account.terminal,
      order_currency: 'EUR',
      order_amount: '12.50',
      ...fields,
    };
    push['signValue'] = computeSignature(signatureFields[list], push, account.secureCode);
    const elements = Object.entries(push).map(([name, value]) => `<${name}>${value}</${name}>`);
    const { id } = await acceptCallback(dependencies, {
      channel: 'notify',
      contentType: 'application/xml',
      body: Buffer.from(`<response>${elements.join('')}</response>`),
      sourceIp: undefined,
    });
    expect(await run('notify.handle', { callbackId: id })).toBe('rejected_not_a_token_message');
  },
);

describe('a right signature', () => {
  /** Each forgery has the signed text of a genuine push, with other borders between the fields. */
  test.for([
    {
      what: 'over a field list that ends in free text',
      list: 'Q2',
      genuine: { quickpay_status: '0', code: '80051', message: 'declined' },
      // The order reference is cut into a QuickPay ID, a status and the beginning of a code.
      shift: ({ order_reference_id: order = '', quickpay_status: status = '' }: Values) => {
        const at = order.indexOf('1', 2);
        return {
          order_reference_id: '',
          quickpay_id: order.slice(0, at),
          quickpay_status: '1',
          code: order.slice(at + 1),
          message: `${status}80051declined`,
        };
      },
    },
    {
      what: 'without one of the two references',
      list: 'Q1',
      genuine: { quickpay_id: '3f1c8c1e', quickpay_status: '1' },
      shift: ({ merchant_reference_id: reference = '' }: Values) => ({
        merchant_reference_id: '',
        quickpay_id: `${reference}3f1c8c1e`,
      }),
    },
    {
      what: 'over an order reference that is not known yet',
      list: 'Q1',
      genuine: { quickpay_id: '3f1c8c1e', quickpay_status: '1' },
      shift: () => ({}),
      isOrderUnknown: true,
    },
  ] as const)(
    'proves nothing $what',
    async ({ list, genuine, shift, ...rest }, { openJobHarness }) => {
      const fields = signatureFields[list];
      const notify = { mode: 'verify', fields } as const;
      const harness = await openJobHarness();
      const row = await harness.open(redirectWithoutPush);
      const { account, terminal, secureCode } = harness.account;
      const push: Values = {
        account,
        terminal,
        merchant_reference_id: row.merchant_reference_id,
        order_reference_id: row.order_reference_id ?? '',
        order_currency: 'EUR',
        order_amount: '12.50',
        ...genuine,
      };
      if ('isOrderUnknown' in rest) await harness.alter(row.id, 'order_reference_id = null');
      const forged = { ...push, ...shift(push) };
      expect(signatureText(fields, forged)).toBe(signatureText(fields, push));
      const signature = computeSignature(fields, push, secureCode);
      const callbackId = await harness.storeMessage('notify', { ...forged, signature });
      const { signatures } = harness.dependencies.settings;
      const settings = {
        ...harness.dependencies.settings,
        confirmPolicy: 'signed' as const,
        signatures: { ...signatures, notify },
      };
      await runJob('notify.handle', { callbackId }, { ...harness.dependencies, settings });
      await harness.confirm(row.id);
      const after = await harness.row(row.id);
      expect(after).toMatchObject({ evidence_index: null, quickpay_id_sealed: null });
      expect(['awaiting_customer', 'confirming']).toContain(after.state);
    },
  );
});

type Values = Record<string, string>;
