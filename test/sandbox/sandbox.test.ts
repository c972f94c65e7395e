import { expect, it } from 'vitest';
import { sandboxDefaults, startSandbox } from '../../src/sandbox/sandbox.ts';
import { accountHeaders, clientOf, postJson } from './client.ts';

it('startSandbox refuses a port in use and names it', async () => {
  const first = await startSandbox();
  await expect(startSandbox({ port: first.port })).rejects.toMatchObject({
    code: 'port_taken',
    message: expect.stringContaining(`Port ${first.port} on 127.0.0.1 is in use`),
  });
  await first.close();
});

it('startSandbox refuses invalid fault switches and names them', async () => {
  await expect(startSandbox({ faults: { hangRate: 7 } })).rejects.toMatchObject({
    code: 'config_invalid',
    paths: ['hangRate'],
  });
});

it('addresses have no trailing slash, and the hosted page uses publicUrl', async () => {
  const sandbox = await startSandbox({ publicUrl: 'https://sandbox.example/' });
  expect(sandbox.url).toBe(`http://127.0.0.1:${sandbox.port}`);
  expect(sandbox.checkoutUrl).toBe(sandbox.url);
  expect(sandbox.openApiUrl).toBe(`${sandbox.url}/open-api/v1`);
  const { data } = await clientOf(sandbox).create('ref-1');
  expect(data.url).toMatch(/^https:\/\/sandbox\.example\/bank\/quickPay\/create\?opRefId=\d{21}$/);
  await sandbox.close();
});

it('an account does not see the tokens of another account', async () => {
  const other = { account: '995150', terminal: '99515001', secureCode: 'another-secret' };
  const sandbox = await startSandbox({ accounts: [sandboxDefaults, other] });
  await clientOf(sandbox).create('ref-1', { remark: 'sandbox:direct' });
  const url = `${sandbox.checkoutUrl}/pg/quickPay/query`;
  const body = { merchant: { referenceId: 'ref-1' } };
  expect((await postJson(url, body, accountHeaders)).data.quickpay.status).toBe('1');
  expect((await postJson(url, body, other)).data).toEqual({});
  await sandbox.close();
});

it('settled resolves in a sandbox without calls', async () => {
  const sandbox = await startSandbox();
  await expect(sandbox.settled()).resolves.toBeUndefined();
  await sandbox.close();
});
