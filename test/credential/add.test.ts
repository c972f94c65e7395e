import { describe, expect } from 'vitest';
import type { CredentialFamily } from '../../src/domain/credential.ts';
import { addCredential } from '../../src/credential/add.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { endOverlap, rotateCredential } from '../../src/credential/rotate.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { testActor } from '../support/builders.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { appSecret, test } from '../support/harness/token-harness.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };
const till = { name: 'till', family: 'accept_payments' } as const;
const cards = { name: 'cards', family: 'opcard' } as const;

describe('a new credential', () => {
  test('has the content of its family; an error names the field and not its value', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const add = async (key: Parameters<typeof addCredential>[1], content: unknown) =>
      await addCredential(dependencies, key, 'sandbox', content, testActor);
    await expect(add(till, { ...account, account: 'canary' })).rejects.toMatchObject({
      code: 'payload_invalid',
      paths: ['account'],
      message: expect.not.stringContaining('canary'),
    });
    await expect(
      add(
        { name: 'funds', family: 'opccount' },
        { number: '1', vaCode: 9_435_762, privateKey: 'k' },
      ),
    ).rejects.toMatchObject({ paths: ['vaCode'] });
    await expect(add(cards, { appKey: 'app-1', appSecret, extra: 1 })).rejects.toMatchObject({
      paths: ['*'],
    });
    expect(await add(till, account)).toBe('added');
    expect(
      await add(
        { name: 'funds', family: 'opccount' },
        { number: 'VA995149', vaCode: '9435762187450928365', privateKey: 'pem' },
      ),
    ).toBe('added');
    await expect(add(till, account)).rejects.toMatchObject({ code: 'credential_conflict' });
  });

  test('shares neither its account and terminal nor its app key with another', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const add = async (key: Parameters<typeof addCredential>[1], content: unknown) =>
      await addCredential(dependencies, key, 'sandbox', content, testActor);
    await add(till, account);
    await add(cards, { appKey: 'app-1', appSecret });
    await expect(add({ ...till, name: 'other' }, account)).rejects.toMatchObject({
      code: 'credential_conflict',
      paths: ['account', 'terminal'],
    });
    await expect(
      add({ ...cards, name: 'other' }, { appKey: 'app-1', appSecret }),
    ).rejects.toMatchObject({ code: 'credential_conflict', paths: ['appKey'] });
    // The same key in the other environment is another application.
    expect(
      await addCredential(
        dependencies,
        { ...cards, name: 'live' },
        'production',
        { appKey: 'app-1', appSecret },
        testActor,
      ),
    ).toBe('added');
  });
});

const contents: readonly (readonly [CredentialFamily, Readonly<Record<string, string>>])[] = [
  ['accept_payments', account],
  ['opcard', { appKey: 'app-1', appSecret }],
  ['opccount', { number: 'VA1', vaCode: '1', privateKey: 'k' }],
];

describe('a removed name', () => {
  test.for(contents)(
    'is stored again even when its encryption key was retired: %s',
    async ([family, content], { openTokenHarness }) => {
      const { dependencies } = await openTokenHarness();
      const key = { name: 'till', family };
      await addCredential(dependencies, key, 'sandbox', content, testActor);
      await removeCredential(dependencies, key, testActor);
      const alone = { ...dependencies, keyring: createKeyring([generateEncryptionKey('k2')]) };
      expect(await addCredential(alone, key, 'sandbox', content, testActor)).toBe('restored');
      const { account: _, terminal: __, ...secrets } = content;
      expect((await secretsOf(alone, key)).secrets).toEqual(secrets);
    },
  );

  test('keeps verifying with the former secure codes of the same account, and of no other', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const restore = async (
      content: Readonly<Record<string, string>>,
      environment: 'sandbox' | 'production' = 'sandbox',
    ) => {
      await removeCredential(dependencies, till, testActor);
      await addCredential(dependencies, till, environment, { ...account, ...content }, testActor);
      return (await secretsOf(dependencies, till)).secrets;
    };
    await addCredential(dependencies, till, 'sandbox', account, testActor);
    await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor);
    expect(await restore({ secureCode: 'code-2' })).toEqual({
      secureCode: 'code-2',
      secureCodePrevious: 'code-1',
    });
    expect(await restore({ secureCode: 'code-3', secureCodePrevious: 'code-0' })).toEqual({
      secureCode: 'code-3',
      secureCodePrevious: 'code-0',
      secureCodePrevious2: 'code-2',
      secureCodePrevious3: 'code-1',
    });
    await endOverlap(dependencies, till, testActor);
    expect(await restore({ secureCode: 'code-3' })).toEqual({ secureCode: 'code-3' });
    expect(await restore({ secureCode: 'code-4', terminal: '87654321' })).toEqual({
      secureCode: 'code-4',
    });
    const elsewhere = { secureCode: 'code-5', terminal: '87654321' };
    expect(await restore(elsewhere, 'production')).toEqual({ secureCode: 'code-5' });
  });
});

test('a credential is used at the hosts of its environment, and nowhere else', async ({
  openTokenHarness,
}) => {
  const other = await startSandbox({ opcardApps: [{ appKey: 'app-1', appSecret }] });
  const harness = await openTokenHarness();
  const { dependencies, sandbox } = harness;
  const gateway = createGatewayClient({
    environment: 'sandbox',
    checkoutUrl: sandbox.checkoutUrl,
    openApiUrl: sandbox.openApiUrl,
    otherPlace: { checkoutUrl: other.checkoutUrl, openApiUrl: other.openApiUrl },
    timeoutMs: 2_000,
  });
  const content = { appKey: 'app-1', appSecret };
  await addCredential(dependencies, cards, 'production', content, testActor);
  expect(await harness.renew('cards', { as: { gateway } })).toBe('issued');
  await harness.makeDue('cards');
  expect(await harness.renew('cards', { as: { gateway } })).toBe('refreshed');
  expect(other.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 1 });
  expect(sandbox.state().calls).toMatchObject({ 'oauth-create': 0, 'oauth-refresh': 0 });
  await gateway.close();
  await other.close();
});
