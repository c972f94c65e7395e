import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/jobs/accept-callback.ts';
import type { SignaturePolicy } from '../../src/jobs/job-dependencies.ts';
import { storeCredential } from '../../src/jobs/store-credential.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { computeSignature } from '../../src/gateway/signature.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { type Desk, runJob } from '../support/desk.ts';
import { test } from '../support/desk-test.ts';

const quiet = 'sandbox:redirect+dropped';

/** Pushes a failure signed with `secureCode` over `list`, as `name`, and returns what was made of it. */
async function push(
  { account, dependencies }: Desk,
  reference: string,
  policy: SignaturePolicy,
  signed: {
    list: keyof typeof signatureFields;
    secureCode: Secret;
    name?: string;
    isUpperCase?: boolean;
  },
) {
  const values: Record<string, string> = {
    account: account.account,
    terminal: account.terminal,
    merchant_reference_id: reference,
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
    openDesk,
  }) => {
    const desk = await openDesk();
    const { id, merchant_reference_id: reference } = await desk.open(quiet);
    const { secureCode } = desk.account;
    const seen = await push(desk, reference, { mode: 'observe' }, { list: 'Q2', secureCode });
    expect(seen.detail).toMatchObject({ signatureVerdict: 'verified', signatureList: 'Q2' });
    expect((await desk.row(id)).state).toBe('confirming');
  });

  test('off looks at no signature', async ({ openDesk }) => {
    const desk = await openDesk();
    const { id, merchant_reference_id: reference } = await desk.open(quiet);
    const seen = await push(
      desk,
      reference,
      { mode: 'off' },
      { list: 'Q1', secureCode: new Secret('x') },
    );
    expect(seen.detail).toMatchObject({ signatureVerdict: 'off' });
    expect((await desk.row(id)).state).toBe('confirming');
  });

  test('verify rejects a list that is not the configured one, and the right list under a wrong code', async ({
    openDesk,
  }) => {
    const desk = await openDesk();
    const before = await desk.open(quiet);
    const policy = { mode: 'verify', fields: signatureFields.Q1 } as const;
    for (const signed of [
      { list: 'Q2', secureCode: desk.account.secureCode },
      { list: 'Q1', secureCode: new Secret('wrong') },
    ] as const) {
      const verdict = await push(desk, before.merchant_reference_id, policy, signed);
      expect(verdict).toMatchObject({ to_state: 'rejected', reason: 'signature_mismatch' });
    }
    expect(await desk.row(before.id)).toEqual(before);
  });

  test.for([
    { name: 'signature', isUpperCase: false },
    { name: 'signature', isUpperCase: true },
    { name: 'signValue', isUpperCase: false },
  ])(
    'during a rotation the previous secure code proves a push too, as $name, upper case: $isUpperCase',
    async (signed, { openDesk }) => {
      const desk = await openDesk();
      const { id, merchant_reference_id: reference } = await desk.open(quiet);
      const { account, terminal, secureCode: previous } = desk.account;
      await storeCredential(
        desk.dependencies,
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
      await push(desk, reference, policy, { list: 'Q1', secureCode: previous, ...signed });
      expect((await desk.row(id)).state).toBe('failed');
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
  async ({ list, fields }, { openDesk }) => {
    const { dependencies, account, run } = await openDesk();
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
