import { describe, expect, it } from 'vitest';
import { accountHeaders, createBody, postJson } from '../client.ts';
import { useSandbox } from '../harness.ts';

const { sandbox, client, reset } = await useSandbox({ faults: { autoDecisionMs: 0 } });

describe('create', () => {
  it('answers a url, msg and no token when the customer must authorise', async () => {
    const answer = await client.create('ref-1', { remark: 'plan' });
    expect(answer).toMatchObject({
      msg: 'SUCCESS',
      code: '000',
      data: {
        account: '995149',
        terminal: '99514901',
        order: { methods: 'Klarna', remark: 'plan', description: 'Gold plan' },
        merchant: { referenceId: 'ref-1' },
      },
    });
    const { referenceId } = answer.data.order;
    expect(referenceId).toMatch(/^\d{21}$/);
    expect(answer.data.url).toBe(`${sandbox.url}/bank/quickPay/create?opRefId=${referenceId}`);
    expect(answer.data).not.toHaveProperty('quickPay');
    expect(answer).not.toHaveProperty('message');
  });

  it.each([
    { methods: 'Credit Card', remark: '' },
    { methods: 'Klarna', remark: 'sandbox:direct' },
  ])('answers the token with a numeric status for %o', async (order) => {
    const answer = await client.create('ref-1', order);
    expect(answer.data.quickPay).toStrictEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-/),
      status: 1,
    });
    expect(answer.data).not.toHaveProperty('url');
    expect(answer.data.order).toMatchObject({ currency: 'EUR', amount: '12.50' });
  });

  it('answers status 0 and no id for sandbox:direct-failed', async () => {
    const answer = await client.create('ref-1', { remark: 'sandbox:direct-failed' });
    expect(answer.code).toBe('000');
    expect(answer.data.quickPay).toStrictEqual({ status: 0 });
  });

  it('creates nothing for sandbox:refuse', async () => {
    expect(await client.create('ref-1', { remark: 'sandbox:refuse' })).toStrictEqual({
      code: '40003',
      message: 'REFUSED',
      data: {},
    });
    expect((await client.queryReference('ref-1')).data).toEqual({});
  });

  it.each([
    ['sandbox:approve', '1'],
    ['sandbox:decline', '0'],
  ])('decides %s without the customer', async (remark, status) => {
    expect((await client.create('ref-1', { remark })).data.url).toBeTypeOf('string');
    await sandbox.settled();
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe(status);
  });

  it.each([
    ['a misspelt scenario', { remark: 'sandbox:aprove' }],
    ['two behaviours', { remark: 'sandbox:approve+decline' }],
    ['three decimals', { amount: '1.005' }],
    ['a script as redirect url', { redirectUrl: 'javascript:alert(1)' }],
  ])('answers PARAM_ERROR to %s', async (_name, order) => {
    expect(await client.create('ref-1', order)).toStrictEqual({
      code: '40000',
      message: 'PARAM_ERROR',
      data: {},
    });
  });

  it('answers PARAM_ERROR with HTTP 200 to broken JSON', async () => {
    const response = await fetch(`${sandbox.url}/pg/quickPay/create`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...accountHeaders },
      body: '{"order":',
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ message: 'PARAM_ERROR' });
  });

  it.each([
    ['account', '995150'],
    ['terminal', '99514902'],
    ['secureCode', 'sandbox-secret-02'],
  ])('refuses a wrong %s', async (name, value) => {
    const url = `${sandbox.url}/pg/quickPay/create`;
    const headers = { ...accountHeaders, [name]: value };
    const answer = await postJson(url, createBody('ref-1'), headers);
    expect(answer).toMatchObject({ code: '40001', data: {} });
    expect(sandbox.state().creations).toStrictEqual([]);
  });
});

describe('a second create with the same reference', () => {
  it('repeats the first answer by default', async () => {
    const first = await client.create('ref-1');
    expect(await client.create('ref-1')).toStrictEqual(first);
    expect(sandbox.state().creations).toHaveLength(1);
  });

  it('is refused under duplicate-error', async () => {
    sandbox.setFaults({ createIdempotency: 'duplicate-error' });
    await client.create('ref-1');
    expect(await client.create('ref-1')).toMatchObject({ code: '40009', data: {} });
  });

  it('creates a second token under second-token, and the snapshot counts both', async () => {
    sandbox.setFaults({ createIdempotency: 'second-token' });
    const first = await client.create('ref-1', { remark: 'sandbox:direct' });
    const second = await client.create('ref-1', { remark: 'sandbox:direct' });
    expect(second.data.quickPay.id).not.toBe(first.data.quickPay.id);
    expect(sandbox.state().tokensByMerchantReference).toStrictEqual({ 'ref-1': 2 });
  });
});

describe('query', () => {
  it('answers message, lower-case quickpay, a string status, expiry and customer', async () => {
    const { data } = await client.create('ref-1', { remark: 'sandbox:direct' });
    const answer = await client.queryReference('ref-1');
    expect(answer).toStrictEqual({
      message: 'SUCCESS',
      code: '000',
      data: {
        account: '995149',
        terminal: '99514901',
        order: {
          methods: 'Klarna',
          referenceId: data.order.referenceId,
          remark: 'sandbox:direct',
          description: 'Gold plan',
        },
        merchant: { referenceId: 'ref-1' },
        quickpay: { id: data.quickPay.id, status: '1', expiryTime: '2030-10-01' },
        customer: { id: 'cust-77' },
      },
    });
  });

  it('finds a token by each of the four keys', async () => {
    const { data } = await client.create('ref-1', { remark: 'sandbox:direct' });
    for (const body of [
      { order: { referenceId: data.order.referenceId } },
      { merchant: { referenceId: 'ref-1' } },
      { quickpay: { id: data.quickPay.id } },
      { customer: { id: 'cust-77' } },
    ]) {
      expect((await client.query(body)).data.quickpay.id).toBe(data.quickPay.id);
    }
  });

  it('shows an undecided creation as pending, or hides it without pendingVisible', async () => {
    await client.create('ref-1');
    expect((await client.queryReference('ref-1')).data.quickpay).toStrictEqual({ status: '-1' });
    sandbox.setFaults({ pendingVisible: false });
    expect((await client.queryReference('ref-1')).data).toEqual({});
  });

  it('does not find a creation within queryVisibilityDelayMs', async () => {
    await client.create('ref-1', { remark: 'sandbox:direct' });
    sandbox.setFaults({ queryVisibilityDelayMs: 60_000 });
    expect((await client.queryReference('ref-1')).data).toEqual({});
    sandbox.setFaults({ queryVisibilityDelayMs: 0 });
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('1');
  });

  it('by customer answers the latest token, or all under customerQuery array', async () => {
    await client.create('ref-1', { remark: 'sandbox:direct' });
    await client.create('ref-2', { remark: 'sandbox:direct' });
    const body = { customer: { id: 'cust-77' } };
    expect((await client.query(body)).data.merchant.referenceId).toBe('ref-2');
    sandbox.setFaults({ customerQuery: 'array' });
    expect((await client.query(body)).data).toHaveLength(2);
  });

  it('answers an unknown reference with empty data, or 40004 by notFoundAnswer', async () => {
    expect(await client.queryReference('ref-x')).toStrictEqual({
      code: '000',
      message: 'SUCCESS',
      data: {},
    });
    sandbox.setFaults({ notFoundAnswer: 'code' });
    expect(await client.queryReference('ref-x')).toStrictEqual({
      code: '40004',
      message: 'NOT_FOUND',
      data: {},
    });
  });

  it('answers PARAM_ERROR without a key', async () => {
    expect((await client.query({})).message).toBe('PARAM_ERROR');
  });
});

describe('cancel', () => {
  it('answers status 1 each time, and queries answer status 0', async () => {
    const { data } = await client.create('ref-1', { remark: 'sandbox:direct' });
    const first = await client.cancel(data.quickPay.id);
    expect(first.data.quickpay.status).toBe('1');
    expect(await client.cancel(data.quickPay.id)).toStrictEqual(first);
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('0');
    expect(sandbox.state().creations[0]?.status).toBe('disabled');
  });

  it('answers cancelStatus, and queries answer queryStatusAfterCancel', async () => {
    sandbox.setFaults({ cancelStatus: '0', queryStatusAfterCancel: '1' });
    const { data } = await client.create('ref-1', { remark: 'sandbox:direct' });
    expect((await client.cancel(data.quickPay.id)).data.quickpay.status).toBe('0');
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('1');
  });

  it('answers 40004 for an unknown token and for one before its approval', async () => {
    const { data } = await client.create('ref-1', { remark: 'sandbox:direct' });
    await reset();
    // After the reset, the seed gives this creation the same token id.
    await client.create('ref-1');
    expect((await client.cancel(data.quickPay.id)).code).toBe('40004');
    expect((await client.cancel('3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10')).code).toBe('40004');
  });
});

describe('check-account', () => {
  it('accepts the secure code of the account and refuses another', async () => {
    const url = `${sandbox.url}/pinc/check-account`;
    expect((await postJson(url, {}, accountHeaders)).code).toBe('000');
    expect((await postJson(url, {}, { ...accountHeaders, secureCode: 'x' })).code).toBe('40001');
  });
});
