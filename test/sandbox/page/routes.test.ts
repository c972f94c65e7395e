import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { useSandbox } from '../harness.ts';
import { signatureLists, signatureOf } from '../signature.ts';

const { sandbox, client } = await useSandbox();

async function openPage(url: string): Promise<string> {
  const response = await fetch(url);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  return response.text();
}

async function decideAsBrowser(opRefId: string, decision: string): Promise<string> {
  const response = await fetch(`${sandbox.url}/bank/quickPay/decide`, {
    method: 'POST',
    headers: { accept: 'text/html' },
    body: new URLSearchParams({ opRefId, decision }),
  });
  return response.text();
}

describe('the authorisation page', () => {
  it('shows amount, method and a button for each decision', async () => {
    const { data } = await client.create('ref-1');
    const html = await openPage(data.url);
    expect(html).toContain('12.50 EUR');
    expect(html).toContain('Klarna');
    expect(html).toContain('<button name="decision" value="approve">Approve</button>');
    expect(html).toContain('<button name="decision" value="decline">Decline</button>');
    expect(html).toContain('<button name="decision" value="abandon">Leave</button>');
    expect(html).toContain('<form method="post" action="decide">');
  });

  it('escapes merchant text, as does the redirect', async () => {
    const markup = `"><script>alert('x')</script>&`;
    const { data } = await client.create('ref-1', { description: markup, remark: markup });
    const page = await openPage(data.url);
    expect(page).not.toContain('<script>');
    expect(page).toContain('&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;');
    const redirect = await decideAsBrowser(data.order.referenceId, 'approve');
    expect(redirect).not.toContain('<script>alert');
  });

  it('allows no script and no style except its own', async () => {
    const { data } = await client.create('ref-1');
    const response = await fetch(data.url);
    const policy = response.headers.get('content-security-policy') ?? '';
    const style = /<style>([^]*?)<\/style>/.exec(await response.text())?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(policy).toContain(`default-src 'none'`);
    expect(policy).toContain(`style-src 'sha256-${hash}'`);
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  it('says that it is already decided, and answers 404 to an unknown reference', async () => {
    const { data } = await client.create('ref-1');
    await client.decide(data.order.referenceId, 'approve');
    expect(await openPage(data.url)).toContain('Already decided');
    const unknown = await fetch(`${sandbox.url}/bank/quickPay/create?opRefId=1`);
    expect(unknown.status).toBe(404);
  });
});

describe('a customer decision', () => {
  it('redirects the browser with a form that submits itself', async () => {
    const { data } = await client.create('ref-1');
    const html = await decideAsBrowser(data.order.referenceId, 'approve');
    expect(html).toContain('<form method="post" action="http://merchant.example/return">');
    expect(html).toContain('<script>document.forms[0].submit();</script>');
    expect(html).toContain('<input type="hidden" name="quickpay_status" value="1">');
  });

  it('answers JSON with the signed fields in order, repeated names included', async () => {
    const { data } = await client.create('ref-1', { remark: 'sub-77' });
    const { redirectUrl, fields } = await client.decide(data.order.referenceId, 'approve');
    expect(redirectUrl).toBe('http://merchant.example/return');
    expect(fields.map(([name]) => name).join(' ')).toBe(
      'code message account terminal signature card_number card_number card_type card_type ' +
        'card_country order_amount order_amount order_currency order_notes order_remark ' +
        'order_methods order_reference_id merchant_reference_id quickpay_id quickpay_status',
    );
    const values = Object.fromEntries(fields);
    expect(values).toMatchObject({
      code: '000',
      message: 'SUCCESS',
      card_number: '',
      card_type: 'null',
      order_amount: '12.50',
      order_remark: 'sub-77',
      order_reference_id: data.order.referenceId,
      merchant_reference_id: 'ref-1',
      quickpay_status: '1',
    });
    expect(values['signature']).toBe(signatureOf(signatureLists.Q1, values));
    const token = (await client.queryReference('ref-1')).data.quickpay;
    expect(values['quickpay_id']).toBe(token.id);
  });

  it('to decline gives a signed failure without a token', async () => {
    const { data } = await client.create('ref-1');
    const { fields } = await client.decide(data.order.referenceId, 'decline');
    const values = Object.fromEntries(fields);
    expect(values).toMatchObject({ code: '40005', quickpay_id: '', quickpay_status: '0' });
    expect(values['signature']).toBe(signatureOf(signatureLists.Q1, values));
    expect((await client.queryReference('ref-1')).data.quickpay).toStrictEqual({ status: '0' });
  });

  it('to leave gives no redirect, and the customer may come back and approve', async () => {
    const { data } = await client.create('ref-1');
    const opRefId = data.order.referenceId;
    expect(await client.decide(opRefId, 'abandon')).toStrictEqual({
      redirectUrl: null,
      fields: [],
    });
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('-1');
    await client.decide(opRefId, 'approve');
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('1');
  });

  it('is final: a second one gets the answer of the first', async () => {
    const { data } = await client.create('ref-1');
    const first = await client.decide(data.order.referenceId, 'approve');
    expect(await client.decide(data.order.referenceId, 'decline')).toStrictEqual(first);
  });

  it('is refused when it is invalid or its reference is unknown', async () => {
    const { data } = await client.create('ref-1');
    const decide = (opRefId: string, decision: string) =>
      fetch(`${sandbox.url}/bank/quickPay/decide`, {
        method: 'POST',
        body: new URLSearchParams({ opRefId, decision }),
      });
    expect((await decide(data.order.referenceId, 'maybe')).status).toBe(400);
    expect((await decide('1', 'approve')).status).toBe(404);
  });
});

describe('redirectSignature', () => {
  it.each(['Q1', 'Q2', 'Q3'] as const)('%s signs by that list', async (rule) => {
    sandbox.setFaults({ redirectSignature: rule });
    const { data } = await client.create('ref-1');
    const { fields } = await client.decide(data.order.referenceId, 'approve');
    const values = Object.fromEntries(fields);
    expect(values['signature']).toBe(signatureOf(signatureLists[rule], values));
  });

  it('wrong signs by none of the lists', async () => {
    sandbox.setFaults({ redirectSignature: 'wrong' });
    const { data } = await client.create('ref-1');
    const { fields } = await client.decide(data.order.referenceId, 'approve');
    const values = Object.fromEntries(fields);
    expect(values['signature']).toMatch(/^[0-9A-F]{64}$/);
    for (const list of Object.values(signatureLists)) {
      expect(values['signature']).not.toBe(signatureOf(list, values));
    }
  });

  it('none omits the signature', async () => {
    sandbox.setFaults({ redirectSignature: 'none' });
    const { data } = await client.create('ref-1');
    const { fields } = await client.decide(data.order.referenceId, 'approve');
    expect(Object.fromEntries(fields)).not.toHaveProperty('signature');
  });
});
