import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createGatewayClient, type GatewayClient } from '../../src/gateway/client.ts';
import { Secret } from '../../src/security/secret.ts';
import { eventually } from '../support/eventually.ts';
import { type AnswerCall, answering, startGatewayClient } from './gateway-client.ts';

const account = { account: '995149', terminal: '99514901', secureCode: new Secret('hunter2') };
const request = {
  order: { currency: 'EUR', amount: '12.50', methods: 'Klarna' },
  merchant: { referenceId: 'tok-1' },
  billing: { firstname: 'Ada' },
  customer: { id: 'c' },
};
const quickpayId = '3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10';

/** Starts a gateway that answers so, and returns a client of it. */
async function clientOf(answer: AnswerCall, timeoutMs = 2_000): Promise<GatewayClient> {
  const options = { timeoutMs, retryableCodes: ['20500'] };
  return (await startGatewayClient(answer, options)).client;
}

const created = (data: object, rest: object = {}): object => ({
  msg: 'SUCCESS',
  code: '000',
  data: { account: '995149', terminal: '99514901', merchant: { referenceId: 'tok-1' }, ...data },
  ...rest,
});
const url = 'https://checkout.oceanpayment.com/bank/quickPay/create?opRefId=1';

describe('creation with an unknown outcome', () => {
  test.each<[string, string, AnswerCall]>([
    ['the gateway does not answer', 'timeout', () => undefined],
    ['the body never ends', 'timeout', (response) => void response.writeHead(200).write('{')],
    [
      'the connection is reset',
      'connection',
      (response) => void response.socket?.resetAndDestroy(),
    ],
    [
      'the reply is cut off',
      'connection',
      (response) => {
        response.writeHead(200, { 'content-length': '100' }).write('{');
        setImmediate(() => response.socket?.destroy());
      },
    ],
    [
      'the gateway says 500, even with a success inside',
      'http_5xx',
      answering(created({ url }), 500),
    ],
    ['the gateway says 503 with HTML', 'http_5xx', answering('<html>', 503)],
    [
      'the gateway redirects the call',
      'http_redirect',
      (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    ],
    ['the body is not JSON', 'body_unreadable', answering('<html>ok</html>')],
    ['the body is an array', 'body_unreadable', answering('[1]')],
    ['there is no code', 'body_unreadable', answering({ data: {} })],
    ['a success has neither url nor token', 'body_unreadable', answering(created({}))],
    ['the body is huge', 'body_too_large', answering(`{"a":"${'x'.repeat(300_000)}"}`)],
    [
      'the reply is about another reference',
      'reference_mismatch',
      answering(created({ url, merchant: { referenceId: 'tok-2' } })),
    ],
    [
      'the reply is about another account',
      'reference_mismatch',
      answering(created({ url, account: '1' })),
    ],
    [
      'the customer would go to a foreign host',
      'redirect_host',
      answering(created({ url: 'https://oceanpayment.com.evil.example/' })),
    ],
    [
      'the customer would go over plain http',
      'redirect_host',
      answering(created({ url: url.replace('https', 'http') })),
    ],
    ['the url is a script', 'redirect_host', answering(created({ url: 'javascript:alert(1)' }))],
    [
      'the url hides a host behind a login',
      'redirect_host',
      answering(created({ url: 'https://checkout.oceanpayment.com@evil.example/' })),
    ],
    ['the code is retryable', 'retryable_code', answering({ code: '20500' })],
    ['there were too many requests', 'retryable_code', answering('', 429)],
  ])('%s (%s)', async (_, cause, answer) => {
    const client = await clientOf(answer, 300);
    expect(await client.createQuickPay(account, request)).toMatchObject({ kind: 'unknown', cause });
  });

  test('the caller aborts, or no server listens', async () => {
    const client = await clientOf(() => undefined);
    const signal = AbortSignal.abort();
    expect(await client.createQuickPay(account, request, { signal })).toEqual({
      kind: 'unknown',
      cause: 'aborted',
    });
    const nowhere = createGatewayClient({
      checkoutUrl: 'http://127.0.0.1:1',
      openApiUrl: 'http://127.0.0.1:1',
      timeoutMs: 500,
    });
    onTestFinished(nowhere.close);
    expect(await nowhere.createQuickPay(account, request)).toEqual({
      kind: 'unknown',
      cause: 'connection',
    });
  });
});

test('creation sends the account headers and the body once', async () => {
  const { client, gateway } = await startGatewayClient(answering(created({ url })));
  await client.createQuickPay(account, request);
  expect(gateway.calls).toMatchObject([
    {
      path: '/pg/quickPay/create',
      headers: {
        account: '995149',
        terminal: '99514901',
        securecode: 'hunter2',
        'content-type': 'application/json',
      },
    },
  ]);
  expect(JSON.parse(gateway.calls[0]?.body ?? '')).toEqual(request);
});

test("the check of an account sends the body of the vendor's own collection", async () => {
  const { client, gateway } = await startGatewayClient(answering({ code: '000' }), {
    site: 'pay.shop.com',
  });
  expect(await client.checkAccount(account)).toEqual({ kind: 'done' });
  await client.checkAccount({ ...account, publicKey: new Secret('e14b') });
  expect(gateway.calls.map(({ path, body }) => [path, JSON.parse(body)])).toEqual([
    [
      '/pinc/check-account',
      { account: '995149', terminal: '99514901', site: 'pay.shop.com', key: '' },
    ],
    [
      '/pinc/check-account',
      { account: '995149', terminal: '99514901', site: 'pay.shop.com', key: 'e14b' },
    ],
  ]);
});

test('creation is not retried after a timeout', async () => {
  let calls = 0;
  const client = await clientOf(() => void (calls += 1), 200);
  await client.createQuickPay(account, request);
  await eventually('the call arrived', () => calls > 0);
  expect(calls).toBe(1);
});

describe('creation reply', () => {
  test.each<[string, object]>([
    ['quickPay and a number', created({ url: '', quickPay: { id: quickpayId, status: 1 } })],
    ['quickpay and a text', created({ quickpay: { id: quickpayId, status: '1' } })],
    [
      'message instead of msg',
      created({ quickPay: { id: quickpayId, status: 1 } }, { message: 'SUCCESS', msg: undefined }),
    ],
  ])('with %s is read', async (_, body) => {
    const client = await clientOf(answering(body));
    const reply = await client.createQuickPay(account, request);
    expect(reply).toMatchObject({ kind: 'done', status: 'active', rawStatus: '1' });
    expect(inspect(reply, { depth: 5 }) + JSON.stringify(reply)).not.toContain(quickpayId);
  });

  test.each([null, {}, [], '', undefined])(
    'with an error code and data %j is a refusal',
    async (data) => {
      const client = await clientOf(answering({ message: 'PARAM_ERROR', code: 40000, data }));
      expect(await client.createQuickPay(account, request)).toEqual({
        kind: 'refused',
        gatewayCode: '40000',
        scope: 'unclear',
      });
    },
  );

  test.each([
    ['a page', { url: 'https://checkout.oceanpayment.com/page' }, 'unknown'],
    ['a token', { quickPay: { id: quickpayId, status: 1 } }, 'unknown'],
    ['a token of another status', { quickpay: { id: quickpayId, status: '-1' } }, 'unknown'],
    ['a failed token', { quickPay: { id: quickpayId, status: 0 } }, 'refused'],
    ['an echo of the request', { merchant: { referenceId: 'tok-1' } }, 'refused'],
  ])('with an error code and %s is: %s %s', async (_, data, kind) => {
    const client = await clientOf(answering({ code: '200', data }));
    const reply = await client.createQuickPay(account, request);
    expect(reply).toMatchObject({ kind, gatewayCode: '200' });
  });

  test('with status 0 is a refusal, and with an unknown status undecided', async () => {
    const failed = await clientOf(answering(created({ quickPay: { id: quickpayId, status: 0 } })));
    expect(await failed.createQuickPay(account, request)).toEqual({
      kind: 'refused',
      gatewayCode: 'status_0',
      scope: 'customer',
    });
    const odd = await clientOf(
      answering(created({ quickPay: { id: quickpayId, status: 'PAID' } })),
    );
    expect(await odd.createQuickPay(account, request)).toMatchObject({
      kind: 'done',
      status: 'unknown',
      rawStatus: 'other',
    });
  });

  test('keeps references of 19 digits exact', async () => {
    const body =
      '{"code":"000","data":{"url":"https://a.oceanpayment.com/","order":{"referenceId":1955930998425718784}}}';
    const client = await clientOf(answering(body));
    expect(await client.createQuickPay(account, request)).toMatchObject({
      orderReferenceId: '1955930998425718784',
    });
  });
});

describe('query', () => {
  const record = (changes: object = {}): object => ({
    account: '995149',
    terminal: '99514901',
    merchant: { referenceId: 'tok-1' },
    quickpay: { id: quickpayId, status: '1', expiryTime: '2030-10-01' },
    ...changes,
  });
  const lookup = { by: 'merchantReferenceId', value: 'tok-1' } as const;

  test('sends exactly one node', async () => {
    const { client, gateway } = await startGatewayClient(
      answering({ code: '000', data: record() }),
    );
    const reply = await client.queryQuickPay(account, lookup);
    expect(gateway.calls[0]?.body).toBe('{"merchant":{"referenceId":"tok-1"}}');
    expect(reply).toMatchObject({
      kind: 'found',
      records: [{ status: 'active', expiryTime: '2030-10-01' }],
    });
  });

  test.each<[string, object, object]>([
    [
      'a list',
      { code: '000', data: [record(), record({ quickpay: { status: '-1' } })] },
      { kind: 'found', records: [{ status: 'active' }, { status: 'pending' }] },
    ],
    [
      'another code',
      { code: '40004', data: {} },
      { kind: 'unknown', cause: 'code_unclear', gatewayCode: '40004' },
    ],
    ['empty data', { code: '000', data: [] }, { kind: 'none', gatewayCode: '000' }],
    [
      'another account',
      { code: '000', data: record({ account: '1' }) },
      { kind: 'unknown', cause: 'reference_mismatch' },
    ],
  ])('answered with %s', async (_, body, reply) => {
    const client = await clientOf(answering(body));
    expect(await client.queryQuickPay(account, lookup)).toMatchObject(reply);
  });

  test.each([
    ['HTTP 404 and its code', { code: 404 }, 404],
    ['HTTP 400 and code 429', { code: '429', data: {} }, 400],
    ['code 500', { code: '500', data: {} }, 200],
    ['code 999', { code: '999', data: null }, 200],
    ['code 80031, a timeout', { code: '80031', data: {} }, 200],
    ['code 20100, an address that may not call', { code: '20100' }, 200],
    ['code 20013, a wrong sign value', { code: '20013' }, 200],
    ['HTTP 403 and a code', { code: '40004' }, 403],
    ['HTTP 404 and a success', { code: '000', data: {} }, 404],
  ])(
    'answered with %s is unknown, not none, which could cause a second creation',
    async (_, body, status) => {
      const client = await clientOf(answering(body, status));
      expect(await client.queryQuickPay(account, lookup)).toEqual({
        kind: 'unknown',
        cause: 'code_unclear',
        gatewayCode: String(body.code),
      });
    },
  );

  test('with an unreadable reply is unknown, not none', async () => {
    const client = await clientOf(answering('<html>', 404));
    expect(await client.queryQuickPay(account, lookup)).toEqual({
      kind: 'unknown',
      cause: 'body_unreadable',
    });
  });
});

describe('OAuth call', () => {
  test.each<[string, object, { kind: string } & Record<string, unknown>]>([
    [
      'data.access_token',
      { code: '000', data: { access_token: 'a', refresh_token: 'r', expires_in: 60 } },
      { kind: 'done', expiresInMs: 60_000 },
    ],
    [
      'data.accessToken and a numeric code',
      { code: 200, data: { accessToken: 'a' } },
      { kind: 'done', expiresInMs: undefined, refreshToken: undefined },
    ],
    ['no envelope at all', { access_token: 'a' }, { kind: 'done' }],
    ...[0, -5, '1h', null].map(
      (expiresIn): [string, object, { kind: string } & Record<string, unknown>] => [
        `the invalid lifetime ${String(expiresIn)}`,
        { access_token: 'a', expires_in: expiresIn },
        { kind: 'done', expiresInMs: undefined },
      ],
    ),
    ['a refusal', { code: '40101' }, { kind: 'refused', gatewayCode: '40101' }],
    [
      'a success without a token',
      { code: '000', data: {} },
      { kind: 'unknown', cause: 'body_unreadable' },
    ],
  ])('answered with %s', async (_, body, reply) => {
    const client = await clientOf(answering(body));
    const answer = await client.refreshAccessToken({}, new Secret('hunter3'));
    expect(answer).toMatchObject(reply);
    const token = answer.kind === 'done' ? answer.accessToken.reveal() : 'none';
    expect(token).toBe(reply.kind === 'done' ? 'a' : 'none');
  });

  test.each([
    ['401 without a body', '', 401, 'body_unreadable'],
    ['the 404 page of a proxy', '<html>not found</html>', 404, 'body_unreadable'],
    ['an error of a framework', { status: 403, error: 'Forbidden' }, 403, 'body_unreadable'],
    ['a success code under a 4xx', { code: '000' }, 404, 'code_unclear'],
  ])('answered with %s is unknown', async (_, body, status, cause) => {
    const client = await clientOf(answering(body, status));
    const unknown = { kind: 'unknown', cause };
    const app = { appKey: 'k', appSecret: new Secret('s') };
    expect(await client.createAccessToken(app)).toEqual(unknown);
    expect(await client.refreshAccessToken({}, new Secret('r'))).toEqual(unknown);
  });
});
