import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../src/security/secret.ts';
import { type AnswerCall, answering, startGatewayClient } from './gateway-client.ts';

const account = { account: '995149', terminal: '99514901', secureCode: new Secret('hunter2') };
const lookup = { by: 'merchantReferenceId', value: 'tok-1' } as const;
const request = {
  order: { currency: 'EUR', amount: '12.50' },
  merchant: { referenceId: 'tok-1' },
  billing: {},
  customer: { id: 'c' },
};
const record = {
  account: '995149',
  terminal: '99514901',
  merchant: { referenceId: 'tok-1' },
  quickpay: { id: '3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10', status: '1' },
};
const url = 'https://checkout.oceanpayment.com/bank/quickPay/create?opRefId=1';
const created = JSON.stringify({ msg: 'SUCCESS', code: '000', data: { ...record, url } });

/** Answers with these bytes and headers. */
function sending(body: Buffer, headers: Readonly<Record<string, string>> = {}): AnswerCall {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.end(body);
  };
}

const bom = Buffer.from([0xef, 0xbb, 0xbf]);

describe('the envelope of a reply', () => {
  test.each<[string, AnswerCall]>([
    ['a byte order mark', sending(Buffer.concat([bom, Buffer.from(created)]))],
    ['UTF-16', sending(Buffer.from(`\ufeff${created}`, 'utf16le'))],
    [
      'UTF-8 under a declaration of UTF-16',
      sending(Buffer.from(created), { 'content-type': 'application/json; charset=utf-16' }),
    ],
    [
      'UTF-8 under a declaration of UTF-16, of another length',
      sending(Buffer.from(`${created} `), { 'content-type': 'application/json; charset=utf-16' }),
    ],
    [
      'ISO-8859-1, declared',
      sending(Buffer.from(created.replace('SUCCESS', 'succès'), 'latin1'), {
        'content-type': 'application/json; charset=ISO-8859-1',
      }),
    ],
    ['gzip', sending(gzipSync(created), { 'content-encoding': 'gzip' })],
    ['JSON encoded twice', answering(JSON.stringify(created))],
    [
      'data as a text with JSON in it',
      answering({ code: '000', data: JSON.stringify({ ...record, url }) }),
    ],
  ])('with %s is read', async (_, answer) => {
    const { client } = await startGatewayClient(answer);
    expect(await client.createQuickPay(account, request)).toMatchObject({ kind: 'redirect', url });
  });

  test('with more than the limit after decompression is unknown', async () => {
    const answer = sending(gzipSync(Buffer.alloc(1_000_000, ' ')), { 'content-encoding': 'gzip' });
    const { client } = await startGatewayClient(answer);
    expect(await client.createQuickPay(account, request)).toEqual({
      kind: 'unknown',
      cause: 'body_too_large',
    });
  });
});

describe('the data of an answer to a query', () => {
  const ask = async (body: object) => {
    const { client } = await startGatewayClient(answering(body));
    return await client.queryQuickPay(account, lookup);
  };

  test.each([JSON.stringify(record), JSON.stringify([record])])(
    'that is a text with JSON in it is read',
    async (data) => {
      expect(await ask({ code: '000', data })).toMatchObject({
        kind: 'found',
        records: [{ status: 'active', merchantReferenceId: 'tok-1' }],
      });
    },
  );

  test.each([undefined, null, '', [], {}, '[]', '{}'])(
    'in the empty form %j means none',
    async (data) => {
      expect(await ask({ code: '000', data })).toEqual({ kind: 'none', gatewayCode: '000' });
      expect(await ask({ code: '40004', data })).toEqual({
        kind: 'unknown',
        cause: 'code_unclear',
        gatewayCode: '40004',
      });
    },
  );

  test.each(['not found', ' ', '{"account":', 0, false, [null], [{}], ['x'], [record, 'x']])(
    'in the unreadable form %j is unknown, so that no request is sent twice',
    async (data) => {
      expect(await ask({ code: '000', data })).toEqual({
        kind: 'unknown',
        cause: 'body_unreadable',
      });
      expect(await ask({ code: '40004', data })).toEqual({
        kind: 'unknown',
        cause: 'code_unclear',
        gatewayCode: '40004',
      });
    },
  );

  test.each<object>([
    { quickpay: record.quickpay },
    { quickPay: { id: '1', status: 1 } },
    { quickpay_id: '1', quickpay_status: '1' },
    { Data: record },
    { DATA: JSON.stringify(record), data: null },
    { result: [record], data: [] },
    { records: 'as text', data: '' },
    { total: 1, data: {} },
    { found: true },
    { found: false },
    { rows: [null] },
    { ' data': { deep: { deeper: record } } },
    { message: record },
    { msg: [record] },
    { message: JSON.stringify(record) },
    { message: 'SUCCESS', msg: JSON.stringify([record]) },
  ])('that is empty beside %j is unknown, so that no request is sent twice', async (beside) => {
    expect(await ask({ code: '000', ...beside })).toEqual({
      kind: 'unknown',
      cause: 'body_unreadable',
    });
  });

  test.each([{ msg: 'SUCCESS' }, { message: 0 }, { message: null }, { Data: {}, result: [] }])(
    'that is empty beside %j, which holds nothing, means none',
    async (beside) => {
      expect(await ask({ code: '000', ...beside })).toEqual({ kind: 'none', gatewayCode: '000' });
    },
  );

  test.each<[string, object, number, 'none' | 'unknown']>([
    ['no data', {}, 200, 'none'],
    ['a text', { data: 'no such record' }, 404, 'none'],
    ['an echo of the reference', { data: { merchant: { referenceId: 'tok-1' } } }, 200, 'none'],
    ['a record', { data: record }, 200, 'unknown'],
    ['a refusal of the account', {}, 401, 'unknown'],
  ])('under a code that is configured to mean none, with %s', async (_, body, status, kind) => {
    const answer = answering({ code: '40004', ...body }, status);
    const { client } = await startGatewayClient(answer, { notFoundCodes: ['40004'] });
    expect(await client.queryQuickPay(account, lookup)).toMatchObject({
      kind,
      gatewayCode: '40004',
    });
  });

  test('that is a JSON text with an access token is read', async () => {
    const data = JSON.stringify({ access_token: 'a', expires_in: 60 });
    const { client } = await startGatewayClient(answering({ code: '000', data }));
    expect(await client.refreshAccessToken({}, new Secret('r'))).toMatchObject({
      kind: 'done',
      expiresInMs: 60_000,
    });
  });
});

test('a text in place of a code is neither a refusal nor "none", and is not passed on', async () => {
  const { client } = await startGatewayClient(answering({ code: 'ada@example.com is wrong' }));
  const unknown = { kind: 'unknown', cause: 'body_unreadable' };
  expect(await client.createQuickPay(account, request)).toEqual(unknown);
  expect(await client.queryQuickPay(account, lookup)).toEqual(unknown);
  expect(await client.cancelQuickPay(account, new Secret('id'))).toEqual(unknown);
});
