import { createServer, type RequestListener } from 'node:http';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { createGatewayClient, type GatewayClient } from '../../src/gateway/client.ts';
import { Secret } from '../../src/security/secret.ts';
import { eventually } from '../support/eventually.ts';

const account = { account: '995149', terminal: '99514901', secureCode: new Secret('hunter2') };
const request = {
  order: { currency: 'EUR', amount: '12.50', methods: 'Klarna' },
  merchant: { referenceId: 'tok-1' },
  billing: { firstname: 'Ada' },
  customer: { id: 'c' },
};
const quickpayId = '3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10';
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function against(listener: RequestListener, timeoutMs = 2_000): Promise<GatewayClient> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const base = `http://127.0.0.1:${port}`;
  const client = createGatewayClient({
    checkoutUrl: base,
    openApiUrl: `${base}/open-api/v1`,
    timeoutMs,
    redirectHostAllowList: ['*.oceanpayment.com'],
    retryableCodes: ['20500'],
  });
  closers.push(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return client;
}

const answering =
  (body: unknown, status = 200): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const created = (data: object, rest: object = {}): object => ({
  msg: 'SUCCESS',
  code: '000',
  data: { account: '995149', terminal: '99514901', merchant: { referenceId: 'tok-1' }, ...data },
  ...rest,
});
const url = 'https://checkout.oceanpayment.com/bank/quickPay/create?opRefId=1';

describe('the outcome of a creation is unknown, never an exception, when', () => {
  test.each<[string, string, RequestListener]>([
    ['the gateway does not answer', 'timeout', () => undefined],
    ['the body never ends', 'timeout', (_, response) => void response.writeHead(200).write('{')],
    [
      'the connection is reset',
      'connection',
      (_, response) => void response.socket?.resetAndDestroy(),
    ],
    [
      'the reply is cut off',
      'connection',
      (_, response) => {
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
      'the gateway sends us elsewhere',
      'http_redirect',
      (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
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
    ['the code is worth another try', 'retryable_code', answering({ code: '20500' })],
    ['there were too many requests', 'retryable_code', answering('', 429)],
  ])('%s (%s)', async (_, cause, listener) => {
    const client = await against(listener, 300);
    expect(await client.createQuickPay(account, request)).toEqual({ kind: 'unknown', cause });
  });

  test('its caller gives up, or nobody listens', async () => {
    const client = await against(() => undefined);
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
    closers.push(nowhere.close);
    expect(await nowhere.createQuickPay(account, request)).toEqual({
      kind: 'unknown',
      cause: 'connection',
    });
  });
});

test('an account, a body and nothing else travel, once', async () => {
  const seen: { headers: Record<string, unknown>; body: string; url: string | undefined }[] = [];
  const client = await against((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => (body += chunk.toString()));
    incoming.on('end', () => {
      seen.push({ headers: incoming.headers, body, url: incoming.url });
      answering(created({ url }))(incoming, response);
    });
  });
  await client.createQuickPay(account, request);
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({
    url: '/pg/quickPay/create',
    headers: {
      account: '995149',
      terminal: '99514901',
      securecode: 'hunter2',
      'content-type': 'application/json',
    },
  });
  expect(JSON.parse(seen[0]?.body ?? '')).toEqual(request);
});

test('a creation that timed out is not sent again', async () => {
  let calls = 0;
  const client = await against(() => void (calls += 1), 200);
  await client.createQuickPay(account, request);
  await eventually('the call arrived', () => calls > 0);
  expect(calls).toBe(1);
});

describe('the documented drift of replies is read', () => {
  test.each<[string, object]>([
    ['quickPay and a number', created({ url: '', quickPay: { id: quickpayId, status: 1 } })],
    ['quickpay and a text', created({ quickpay: { id: quickpayId, status: '1' } })],
    [
      'message, a numeric code is none of ours',
      created({ quickPay: { id: quickpayId, status: 1 } }, { message: 'SUCCESS', msg: undefined }),
    ],
  ])('%s', async (_, body) => {
    const client = await against(answering(body));
    const reply = await client.createQuickPay(account, request);
    expect(reply).toMatchObject({ kind: 'done', status: 'active', rawStatus: '1' });
    expect(inspect(reply, { depth: 5 }) + JSON.stringify(reply)).not.toContain(quickpayId);
  });

  test.each([null, {}, [], '', undefined])('a refusal with data %j is a refusal', async (data) => {
    const client = await against(answering({ message: 'PARAM_ERROR', code: 40000, data }));
    expect(await client.createQuickPay(account, request)).toEqual({
      kind: 'refused',
      gatewayCode: '40000',
    });
  });

  test('a status 0 is a refusal, an unknown status is not decided', async () => {
    const failed = await against(answering(created({ quickPay: { id: quickpayId, status: 0 } })));
    expect(await failed.createQuickPay(account, request)).toEqual({
      kind: 'refused',
      gatewayCode: 'status_0',
    });
    const odd = await against(answering(created({ quickPay: { id: quickpayId, status: 'PAID' } })));
    expect(await odd.createQuickPay(account, request)).toMatchObject({
      kind: 'done',
      status: 'unknown',
      rawStatus: 'other',
    });
  });

  test('references of 19 digits and more stay exact', async () => {
    const body =
      '{"code":"000","data":{"url":"https://a.oceanpayment.com/","order":{"referenceId":1955930998425718784}}}';
    const client = await against(answering(body));
    expect(await client.createQuickPay(account, request)).toMatchObject({
      orderReferenceId: '1955930998425718784',
    });
  });

  test('a code that is no code is not passed on', async () => {
    const client = await against(answering({ code: 'ada@example.com is wrong' }));
    expect(await client.createQuickPay(account, request)).toEqual({
      kind: 'refused',
      gatewayCode: 'unreadable',
    });
  });
});

describe('a query', () => {
  const record = (changes: object = {}): object => ({
    account: '995149',
    terminal: '99514901',
    merchant: { referenceId: 'tok-1' },
    quickpay: { id: quickpayId, status: '1', expiryTime: '2030-10-01' },
    ...changes,
  });
  const lookup = { by: 'merchantReferenceId', value: 'tok-1' } as const;

  test('sends exactly one node', async () => {
    let body = '';
    const client = await against((incoming, response) => {
      incoming.on('data', (chunk: Buffer) => (body += chunk.toString()));
      incoming.on('end', () => answering({ code: '000', data: record() })(incoming, response));
    });
    const reply = await client.queryQuickPay(account, lookup);
    expect(body).toBe('{"merchant":{"referenceId":"tok-1"}}');
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
    ['another code', { code: '40004', data: {} }, { kind: 'none', gatewayCode: '40004' }],
    ['empty data', { code: '000', data: [] }, { kind: 'none', gatewayCode: '000' }],
    [
      'another account',
      { code: '000', data: record({ account: '1' }) },
      { kind: 'unknown', cause: 'reference_mismatch' },
    ],
  ])('answered with %s', async (_, body, reply) => {
    const client = await against(answering(body));
    expect(await client.queryQuickPay(account, lookup)).toMatchObject(reply);
  });

  test.each([
    ['403', answering({ code: '40004' }, 403)],
    ['code 20013, a wrong sign value', answering({ code: '20013' })],
    ['code 20004, a wrong terminal', answering({ code: '20004' })],
  ])(
    'that was turned away with %s is no "none", which could lead to a second creation',
    async (_, listener) => {
      const client = await against(listener);
      expect(await client.queryQuickPay(account, lookup)).toEqual({
        kind: 'unknown',
        cause: 'code_unclear',
      });
    },
  );

  test('that was not understood is no "none"', async () => {
    const client = await against(answering('<html>', 404));
    expect(await client.queryQuickPay(account, lookup)).toEqual({
      kind: 'unknown',
      cause: 'body_unreadable',
    });
  });
});

describe('an OAuth call', () => {
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
        `a life of ${String(expiresIn)}, which says nothing`,
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
    const client = await against(answering(body));
    const answer = await client.refreshAccessToken({}, new Secret('hunter3'));
    expect(answer).toMatchObject(reply);
    const token = answer.kind === 'done' ? answer.accessToken.reveal() : 'none';
    expect(token).toBe(reply.kind === 'done' ? 'a' : 'none');
  });

  test.each([
    ['401 without a word', '', 401, 'body_unreadable'],
    ['the 404 page of a proxy', '<html>not found</html>', 404, 'body_unreadable'],
    ['an error of a framework', { status: 403, error: 'Forbidden' }, 403, 'body_unreadable'],
    ['a success code under a 4xx', { code: '000' }, 404, 'code_unclear'],
  ])('answered with %s settles nothing', async (_, body, status, cause) => {
    const client = await against(answering(body, status));
    const unknown = { kind: 'unknown', cause };
    const app = { appKey: 'k', appSecret: new Secret('s') };
    expect(await client.createAccessToken(app)).toEqual(unknown);
    expect(await client.refreshAccessToken({}, new Secret('r'))).toEqual(unknown);
  });
});
