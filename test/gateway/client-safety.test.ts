import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/security/secret.ts';
import { eventually } from '../support/eventually.ts';
import { answering, startGatewayClient, startLocalGateway } from './gateway-client.ts';

const account = { account: '995149', terminal: '99514901', secureCode: new Secret('canary-code') };
const request = {
  order: { currency: 'EUR', amount: '12.50' },
  merchant: { referenceId: 'tok-1' },
  billing: { firstname: 'Ada' },
  customer: { id: 'cust-1' },
};
const quickpayId = '3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10';
const record = {
  account: '995149',
  terminal: '99514901',
  merchant: { referenceId: 'tok-1' },
  quickpay: { id: quickpayId, status: '1' },
};
describe('deadline', () => {
  test('ends a call whose reply never ends', async () => {
    let drip: NodeJS.Timeout | undefined;
    onTestFinished(() => clearInterval(drip));
    const { client } = await startGatewayClient(
      (response) => {
        response.writeHead(200);
        drip = setInterval(() => response.write(' '), 20);
      },
      { timeoutMs: 250 },
    );
    const startedAt = performance.now();
    expect(await client.createQuickPay(account, request)).toEqual({
      kind: 'unknown',
      cause: 'timeout',
    });
    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });

  test('of the caller aborts a call in flight', async () => {
    const { client, gateway } = await startGatewayClient(() => undefined);
    const caller = new AbortController();
    const reply = client.createQuickPay(account, request, { signal: caller.signal });
    await eventually('the call arrived', () => gateway.calls.length > 0);
    caller.abort();
    expect(await reply).toEqual({ kind: 'unknown', cause: 'aborted' });
  });
});

test.each([301, 302, 303, 307, 308])(
  'a redirect (%i) is not followed, so that the secure code reaches no other host',
  async (status) => {
    const elsewhere = await startLocalGateway(answering({ code: '000' }));
    const { client } = await startGatewayClient((response) => {
      response.writeHead(status, { location: `${elsewhere.url}/pg/quickPay/create` }).end();
    });
    expect(await client.createQuickPay(account, request)).toEqual({
      kind: 'unknown',
      cause: 'http_redirect',
    });
    expect(elsewhere.calls).toEqual([]);
  },
);

describe('4xx reply', () => {
  const unreadable: [number, string][] = [
    [400, ''],
    [403, '<html>blocked</html>'],
    [404, '{"message":"no such page"}'],
  ];

  test.each(unreadable)(
    '%i with the body %j may come from a proxy, so the outcome is unknown',
    async (status, body) => {
      const { client } = await startGatewayClient(answering(body, status));
      const unknown = { kind: 'unknown', cause: 'body_unreadable' };
      expect(await client.createQuickPay(account, request)).toEqual(unknown);
      expect(await client.cancelQuickPay(account, new Secret(quickpayId))).toEqual(unknown);
    },
  );

  test('with a code of the gateway is a refusal', async () => {
    const { client } = await startGatewayClient(
      answering({ code: 40_000, message: 'PARAM_ERROR' }, 400),
    );
    const refused = { kind: 'refused', gatewayCode: '40000', scope: 'unclear' };
    expect(await client.createQuickPay(account, request)).toEqual(refused);
    expect(await client.cancelQuickPay(account, new Secret(quickpayId))).toEqual(refused);
  });

  test('with an OAuth error is a refusal of the refresh token', async () => {
    const { client } = await startGatewayClient(answering({ error: 'invalid_grant' }, 400));
    expect(await client.refreshAccessToken({}, new Secret('r'))).toEqual({
      kind: 'refused',
      gatewayCode: 'invalid_grant',
    });
  });
});

describe('redirect URL', () => {
  const create = async (url: string, redirectHostAllowList = ['*.oceanpayment.com']) => {
    const { client } = await startGatewayClient(answering({ code: '000', data: { url } }), {
      redirectHostAllowList,
    });
    return await client.createQuickPay(account, request);
  };

  test.each([
    'https://checkout.oceanpayment.com\\@evil.example/',
    'https://checkout.oceanpayment.com/\r\nset-cookie: a=b',
    'https://check\tout.oceanpayment.com/',
    ' https://checkout.oceanpayment.com/',
    'https:checkout.oceanpayment.com',
    'https://checkout.oceanpayment.com.',
    '//checkout.oceanpayment.com/',
  ])('%j, which parsers may read differently, is refused', async (url) => {
    expect(await create(url)).toMatchObject({ kind: 'unknown', cause: 'redirect_host' });
  });

  test('is refused with the name of its host, where it has one', async () => {
    const refused = { kind: 'unknown', cause: 'redirect_host' };
    const url = 'https://user:secret@pay.example:8443/page?opRefId=1';
    expect(await create(url)).toEqual({ ...refused, refusedHost: 'pay.example' });
    expect(await create('javascript:alert(1)')).toEqual(refused);
    expect(await create('//pay.example/')).toEqual(refused);
  });

  test('may use http only on an allowed loopback host', async () => {
    const url = 'http://127.0.0.1:8080/pay?opRefId=1';
    expect(await create(url, ['127.0.0.1'])).toMatchObject({ kind: 'redirect', url });
    expect(await create(url)).toMatchObject({ kind: 'unknown', cause: 'redirect_host' });
    expect(await create('http://pay.example/', ['pay.example'])).toMatchObject({
      kind: 'unknown',
      cause: 'redirect_host',
    });
  });
});

describe('cancellation', () => {
  test('is accepted by its code alone, whatever status the reply has', async () => {
    const { client, gateway } = await startGatewayClient(answering({ code: '000', data: record }));
    expect(await client.cancelQuickPay(account, new Secret(quickpayId))).toEqual({
      kind: 'done',
      rawStatus: '1',
    });
    expect(gateway.calls).toMatchObject([
      { path: '/pg/quickPay/cancel', headers: { account: '995149', terminal: '99514901' } },
    ]);
    expect(JSON.parse(gateway.calls[0]?.body ?? '')).toEqual({ quickpay: { id: quickpayId } });
  });

  test.each([{}, [], '', null])('is accepted with data %j', async (data) => {
    const { client } = await startGatewayClient(answering({ code: '000', data }));
    expect(await client.cancelQuickPay(account, new Secret(quickpayId))).toEqual({
      kind: 'done',
      rawStatus: 'absent',
    });
  });

  test('with a 5xx reply has an unknown outcome', async () => {
    const { client } = await startGatewayClient(answering({ code: '000', data: record }, 502));
    expect(await client.cancelQuickPay(account, new Secret(quickpayId))).toEqual({
      kind: 'unknown',
      cause: 'http_5xx',
    });
  });
});

test.each([
  [{ by: 'orderReferenceId', value: '1' }, { order: { referenceId: '1' } }],
  [{ by: 'customerId', value: 'c' }, { customer: { id: 'c' } }],
  [{ by: 'quickpayId', value: new Secret(quickpayId) }, { quickpay: { id: quickpayId } }],
] as const)('query %j sends exactly one node', async (lookup, body) => {
  const { client, gateway } = await startGatewayClient(answering({ code: '000', data: record }));
  await client.queryQuickPay(account, lookup);
  expect(JSON.parse(gateway.calls[0]?.body ?? '')).toEqual(body);
});

test('OAuth call sends the app key or the refresh token, and no account credentials', async () => {
  const { client, gateway } = await startGatewayClient(
    answering({ code: '000', data: { access_token: 'a' } }),
  );
  await client.createAccessToken({ appKey: 'key', appSecret: new Secret('canary-app') });
  await client.refreshAccessToken({}, new Secret('canary-refresh'));
  expect(gateway.calls.map(({ path, body }) => [path, JSON.parse(body)])).toEqual([
    ['/open-api/v1/oauth/token/create', { app_key: 'key', app_secret: 'canary-app' }],
    ['/open-api/v1/oauth/token/refresh', { refresh_token: 'canary-refresh' }],
  ]);
  for (const { headers } of gateway.calls) {
    expect(headers).not.toHaveProperty('account');
    expect(headers).not.toHaveProperty('securecode');
  }
});

test('printing replies and observations shows no token', async () => {
  const tokens = { access_token: 'canary-access', refresh_token: 'canary-refresh' };
  const { client, observed } = await startGatewayClient(
    answering({
      code: '000',
      ...tokens,
      data: { ...record, quickPay: { id: quickpayId, status: 1 } },
    }),
  );
  const replies = [
    await client.createQuickPay(account, request),
    await client.queryQuickPay(account, { by: 'quickpayId', value: new Secret(quickpayId) }),
    await client.cancelQuickPay(account, new Secret(quickpayId)),
    await client.createAccessToken({ appKey: 'key', appSecret: new Secret('canary-app') }),
    await client.refreshAccessToken({}, new Secret('canary-refresh')),
  ];
  expect(replies.map(({ kind }) => kind)).toEqual(['done', 'found', 'done', 'done', 'done']);
  expect(observed.map(({ operation, outcome }) => [operation, outcome])).toEqual([
    ['create', 'done'],
    ['query', 'found'],
    ['cancel', 'done'],
    ['access_token_create', 'done'],
    ['access_token_refresh', 'done'],
  ]);
  const printed =
    inspect([replies, observed], { depth: 9, showHidden: true }) +
    JSON.stringify([replies, observed]);
  expect(printed).toContain('[secret]');
  expect(printed).not.toMatch(new RegExp(`${quickpayId}|canary`));
});
