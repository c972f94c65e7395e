import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { generateApi } from 'swagger-typescript-api';
import { afterAll, beforeAll, expect } from 'vitest';
import { test } from '../support/harness/api-test.ts';
import { requestPayload } from '../support/builders.ts';

/** What the generator makes of an operation: parameters in, the parsed answer in `data`. */
type Operation = (...input: unknown[]) => Promise<{
  readonly status: number;
  readonly data: Record<string, unknown>;
}>;
interface GeneratedModule {
  readonly Api: new (config: object) => { readonly v1: Readonly<Record<string, Operation>> };
}

let directory: string;
let generated: GeneratedModule;

beforeAll(async () => {
  // Inside the project, whose transformer has to take the generated TypeScript.
  directory = await mkdtemp(
    fileURLToPath(new URL('../../node_modules/.cache-api-', import.meta.url)),
  );
  await generateApi({
    input: fileURLToPath(new URL('../../docs/openapi.json', import.meta.url)),
    output: directory,
    fileName: 'api.ts',
    silent: true,
    generateClient: true,
    httpClientType: 'fetch',
  });
  generated = (await import(pathToFileURL(join(directory, 'api.ts')).href)) as GeneratedModule;
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

test('a client generated from docs/openapi.json has a method for each operation and drives the API with it', async ({
  api,
}) => {
  const { v1 } = new generated.Api({
    baseUrl: api.url,
    baseApiParams: { headers: { authorization: `Bearer ${await api.addKey('generated')}` } },
  });
  const call = async (name: string, ...input: unknown[]) => {
    const operation = v1[name];
    if (operation === undefined) throw new Error(`the generated client has no ${name}`);
    return await operation(...input);
  };
  const body = requestPayload();
  const created = await call('createTokenization', body);
  expect(created.status).toBe(202);
  const id = String(created.data['id']);
  expect(await call('getTokenization', id)).toMatchObject({ data: { id, state: 'requested' } });
  const found = await call('findTokenizations', { customerId: 'cust-77', limit: 10 });
  expect(found.data).toMatchObject({ items: [{ id }], nextCursor: null });
  const timeline = await call('getTimeline', id);
  expect(timeline.data).toMatchObject({ events: [{ event: 'tokenization.requested' }] });
  expect(await call('forwardNotify', { body: 'x=1' })).toMatchObject({ status: 202 });
  expect(await call('forwardRedirect', { body: 'x=1' })).toMatchObject({ status: 202 });
  expect(await call('listDeadLetters', {})).toMatchObject({ data: { items: [] } });
  for (const name of ['revealToken', 'disableToken', 'confirmTokenization']) {
    await expect(call(name, id)).rejects.toMatchObject({ status: 409 });
  }
  await expect(call('redriveDeadLetter', id)).rejects.toMatchObject({ status: 404 });
  await expect(call('getAccessToken', 'cards')).rejects.toMatchObject({ status: 422 });
  await expect(call('reportInvalidAccessToken', 'cards', { generation: 1 })).rejects.toMatchObject({
    status: 422,
  });
  expect(Object.keys(v1)).toHaveLength(14);
});
