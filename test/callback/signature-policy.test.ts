import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import type { SignaturePolicy } from '../../src/execution/dependencies.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { computeSignature, signatureText } from '../../src/gateway/signature.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import type { JobHarness } from '../support/harness/job-harness.ts';
import { runJob } from '../support/harness/run-job.ts';
import { test } from '../support/harness/harness-test.ts';

const quiet = 'sandbox:redirect+dropped';

/** Pushes a failure signed with `secureCode` over `list`, as `name`, and returns what was made of it. */
async function push(
  { account, dependencies }: JobHarness,
  reference: string,
  policy: SignaturePolicy,
  signed: {
    list: keyof typeof signatureFields;
    secureCode: Secret;
    name?: string;
    isUpperCase?: boolean;
  },
) {
  const about = await dependencies.db
    .selectFrom('tokenization')
    .select('order_reference_id')
    .where('merchant_reference_id', '=', reference)
    .executeTakeFirst();
  const orderReference = about?.order_reference_id ?? '';
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
  const { id } = await acceptCallback(dependencies, {
    channel: 'notify',
    contentType: 'application/x-www-form-urlencoded',
    body: Buffer.from(new URLSearchParams(values).toString()),
    sourceIp: undefined,
  });
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

describe('signature modes', () => {
  test('observe says which candidate list matched, and believes nothing for it', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id, merchant_reference_id: reference } = await harness.open(quiet);
    const { secureCode } = harness.account;
    const seen = await push(harness, reference, { mode: 'observe' }, { list: 'Q2', secureCode });
    expect(seen.detail).toMatchObject({ signatureVerdict: 'verified', signatureList: 'Q2' });
    expect((await harness.row(id)).state).toBe('confirming');
  });

  test('off looks at no signature', async ({ openJobHarness }) => {
    const harness = await openJobHarness();
    const { id, merchant_reference_id: reference } = await harness.open(quiet);
    const seen = await push(
      harness,
      reference,
      { mode: 'off' },
      { list: 'Q1', secureCode: new Secret('x') },
    );
    expect(seen.detail).toMatchObject({ signatureVerdict: 'off' });
    expect((await harness.row(id)).state).toBe('confirming');
  });

  test('verify rejects a list that is not the configured one, and the right list under a wrong code', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const before = await harness.open(quiet);
    const policy = { mode: 'verify', fields: signatureFields.Q1 } as const;
    for (const signed of [
      { list: 'Q2', secureCode: harness.account.secureCode },
      { list: 'Q1', secureCode: new Secret('wrong') },
    ] as const) {
      const verdict = await push(harness, before.merchant_reference_id, policy, signed);
      expect(verdict).toMatchObject({ to_state: 'rejected', reason: 'signature_mismatch' });
    }
    expect(await harness.row(before.id)).toEqual(before);
  });

  test.for([
    { name: 'signature', isUpperCase: false },
    { name: 'signature', isUpperCase: true },
    { name: 'signValue', isUpperCase: false },
  ])(
    'during a rotation the previous secure code proves a push too, as $name, upper case: $isUpperCase',
    async (signed, { openJobHarness }) => {
      const harness = await openJobHarness();
      const { id, merchant_reference_id: reference } = await harness.open(quiet);
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
      const said = await push(harness, reference, policy, {
        list: 'Q1',
        secureCode: previous,
        ...signed,
      });
      expect(said).toMatchObject({
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
    what: 'a payment of a token, as older pushes say it',
    list: 'c1',
    fields: { payment_id: '260401093541829655068', payment_status: '1', quickpay_id: '3f1c8c1e' },
  },
  { what: 'a refund', list: 'a5', fields: { notice_type: 'refund', push_status: '1' } },
] as const)(
  'a push about $what, signed by the gateway, is told from a malformed one and touches no token',
  async ({ list, fields }, { openJobHarness }) => {
    const { dependencies, account, run } = await openJobHarness();
    const said: Record<string, string> = {
      account: account.account,
      terminal: account.terminal,
      order_currency: 'EUR',
      order_amount: '12.50',
      ...fields,
    };
    said['signValue'] = computeSignature(signatureFields[list], said, account.secureCode);
    const elements = Object.entries(said).map(([name, value]) => `<${name}>${value}</${name}>`);
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
  const policies = { confirmPolicy: 'signed' } as const;

  /** Forgeries from a genuine text that was signed: the same characters, other borders. */
  test.for([
    {
      what: 'over a list that ends in free text, from a decline',
      list: 'Q2',
      genuine: { quickpay_status: '0', code: '80051', message: 'declined' },
      // The reference of the gateway gives up a token id, a status and the beginning of a code.
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
      what: 'without one of the two references, from a success',
      list: 'Q1',
      genuine: { quickpay_id: '3f1c8c1e', quickpay_status: '1' },
      shift: ({ merchant_reference_id: reference = '' }: Values) => ({
        merchant_reference_id: '',
        quickpay_id: `${reference}3f1c8c1e`,
      }),
    },
    {
      what: 'over an order that is not known yet',
      list: 'Q1',
      genuine: { quickpay_id: '3f1c8c1e', quickpay_status: '1' },
      shift: () => ({}),
      isOrderUnknown: true,
    },
  ] as const)(
    'is no proof $what',
    async ({ list, genuine, shift, ...rest }, { openJobHarness }) => {
      const fields = signatureFields[list];
      const notify = { mode: 'verify', fields } as const;
      const harness = await openJobHarness();
      const row = await harness.open(quiet);
      const { account, terminal, secureCode } = harness.account;
      const said: Values = {
        account,
        terminal,
        merchant_reference_id: row.merchant_reference_id,
        order_reference_id: row.order_reference_id ?? '',
        order_currency: 'EUR',
        order_amount: '12.50',
        ...genuine,
      };
      if ('isOrderUnknown' in rest) await harness.alter(row.id, 'order_reference_id = null');
      const forged = { ...said, ...shift(said) };
      expect(signatureText(fields, forged)).toBe(signatureText(fields, said));
      const { id } = await acceptCallback(harness.dependencies, {
        channel: 'notify',
        contentType: 'application/x-www-form-urlencoded',
        body: Buffer.from(
          new URLSearchParams({
            ...forged,
            signature: computeSignature(fields, said, secureCode),
          }).toString(),
        ),
        sourceIp: undefined,
      });
      const { signatures } = harness.dependencies.settings;
      const settings = {
        ...harness.dependencies.settings,
        ...policies,
        signatures: { ...signatures, notify },
      };
      await runJob('notify.handle', { callbackId: id }, { ...harness.dependencies, settings });
      await harness.confirm(row.id);
      const after = await harness.row(row.id);
      expect(after).toMatchObject({ evidence_index: null, quickpay_id_sealed: null });
      expect(['awaiting_customer', 'confirming']).toContain(after.state);
    },
  );
});

type Values = Record<string, string>;
