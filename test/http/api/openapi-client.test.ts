import { readFile } from 'node:fs/promises';
import { type Document, OpenAPIClientAxios } from 'openapi-client-axios';
import { expect } from 'vitest';
import { requestPayload } from '../../support/builders.ts';
import { test } from '../../support/harness/api-test.ts';

const text = await readFile(new URL('../../../docs/openapi.json', import.meta.url), 'utf8');

test('a client generated from docs/openapi.json can call every operation', async ({ api }) => {
  const document = new OpenAPIClientAxios({
    definition: JSON.parse(text) as Document,
    withServer: { url: api.url },
    axiosConfigDefaults: {
      headers: { authorization: `Bearer ${await api.addKey('generated')}` },
      validateStatus: () => true,
    },
  });
  const client = await document.init();
  const called = new Set<string>();
  const call = async (
    operation: string,
    parameters: Record<string, string | number> = {},
    body?: object,
  ) => {
    called.add(operation);
    const method = client[operation];
    if (method === undefined) throw new Error(`the document has no operation ${operation}`);
    const { status, data } = await method(parameters, body);
    return { status, data: data as Record<string, unknown> };
  };

  const created = await call('createTokenization', {}, requestPayload());
  expect(created.status).toBe(202);
  const id = String(created.data['id']);
  const tokenization = await call('getTokenization', { id });
  expect(tokenization.data).toMatchObject({ id, state: 'requested' });
  const found = await call('findTokenizations', { customerId: 'cust-77', limit: 10 });
  expect(found.data).toMatchObject({ items: [{ id }], nextCursor: null });
  const timeline = await call('getTimeline', { id });
  expect(timeline.data).toMatchObject({ events: [{ event: 'tokenization.requested' }] });
  for (const name of ['forwardNotify', 'forwardRedirect']) {
    expect(await call(name, {}, { body: 'x=1' })).toMatchObject({ status: 202 });
  }
  expect(await call('listDeadLetters')).toMatchObject({ status: 200, data: { items: [] } });
  for (const name of ['revealToken', 'disableToken', 'confirmTokenization']) {
    expect(await call(name, { id })).toMatchObject({ status: 409 });
  }
  expect(await call('redriveDeadLetter', { id })).toMatchObject({ status: 404 });
  const credential = 'cards';
  for (const name of ['getAccessToken', 'revealOpccount']) {
    expect(await call(name, { credential })).toMatchObject({ status: 422 });
  }
  const reported = await call('reportInvalidAccessToken', { credential }, { generation: 1 });
  expect(reported.status).toBe(422);
  const operations = document.getOperations().map(({ operationId }) => String(operationId));
  expect(called).toEqual(new Set(operations));
});
