import { describe, expect } from 'vitest';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { openAccount } from '../../src/account/open-account.ts';
import { addCredential, endOverlap, rotateCredential } from '../../src/credential/rotate.ts';
import { revealOpccount } from '../../src/credential/reveal-opccount.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { testActor } from '../support/builders.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { appSecret, test } from '../support/harness/token-harness.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };
const till = { name: 'till', family: 'accept_payments' } as const;
const cards = { name: 'cards', family: 'opcard' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

describe('a credential', () => {
  test('has the content of its family, and what is wrong is named without its value', async ({
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

  test('shares neither its account and terminal nor its application with another', async ({
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

  test('verifies with the former secure code too, until the overlap is ended', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { dependencies } = harness;
    await addCredential(dependencies, till, 'sandbox', { ...account, publicKey: 'p' }, testActor);
    const codes = async (): Promise<readonly string[]> => {
      const { row } = await secretsOf(harness.dependencies, till);
      return openAccount(dependencies.keyring, row).secureCodes.map((code) => code.reveal());
    };
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'rotated',
    );
    expect(await codes()).toEqual(['code-2', 'code-1']);
    expect((await secretsOf(harness.dependencies, till)).secrets['publicKey']).toBe('p');
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'unchanged',
    );
    expect(await endOverlap(dependencies, till, testActor)).toBe('rotated');
    expect(await codes()).toEqual(['code-2']);
    expect(await endOverlap(dependencies, till, testActor)).toBe('unchanged');
  });

  test('verifies with every code of the overlap, the first of which the gateway may still use, until it is ended', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    await addCredential(dependencies, till, 'sandbox', account, testActor);
    const codes = async (): Promise<readonly string[]> => {
      const { row } = await secretsOf(dependencies, till);
      return openAccount(dependencies.keyring, row).secureCodes.map((code) => code.reveal());
    };
    const rotate = async (secureCode: string) =>
      await rotateCredential(dependencies, till, { secureCode }, testActor);
    await rotate('typo');
    await rotate('right');
    expect(await codes()).toEqual(['right', 'typo', 'code-1']);
    // Back to a former one: it is not twice in the list.
    await rotate('code-1');
    expect(await codes()).toEqual(['code-1', 'right', 'typo']);
    for (const code of ['2', '3', '4', '5', '6']) await rotate(code);
    expect(await codes()).toEqual(['6', '5', '4', '3', '2', 'typo']);
    await endOverlap(dependencies, till, testActor);
    expect(await codes()).toEqual(['6']);
  });

  test('is rotated although a backend gets it at the same moment', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    const funds = { name: 'funds', family: 'opccount' } as const;
    const content = { number: 'VA1', vaCode: '1', privateKey: 'key-1' };
    await addCredential(dependencies, funds, 'sandbox', content, testActor);
    let reveals = 0;
    const apply: typeof dependencies.door.apply = async (request) => {
      if (request.event === 'credential.rotated' && reveals === 0) {
        reveals += 1;
        await revealOpccount(dependencies, 'funds', { actor: shop });
      }
      return await dependencies.door.apply(request);
    };
    const rotating = { ...dependencies, door: { ...dependencies.door, apply } };
    expect(await rotateCredential(rotating, funds, { privateKey: 'key-2' }, testActor)).toBe(
      'rotated',
    );
    const { privateKey } = await revealOpccount(dependencies, 'funds', { actor: shop });
    expect(privateKey).toBe('key-2');
  });

  test('is handed out only with a row of the audit trail, and as it is then', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const { db, door } = dependencies;
    const funds = { name: 'funds', family: 'opccount' } as const;
    const content = { number: 'VA1', vaCode: '1', privateKey: 'key-1' };
    await addCredential(dependencies, funds, 'sandbox', content, testActor);
    let isRotated = false;
    const apply: typeof door.apply = async (request) => {
      if (!isRotated) {
        isRotated = true;
        await rotateCredential(dependencies, funds, { privateKey: 'key-2' }, testActor);
      }
      return await door.apply(request);
    };
    const revealing = { ...dependencies, door: { ...door, apply } };
    expect(await revealOpccount(revealing, 'funds', { actor: shop })).toMatchObject({
      privateKey: 'key-2',
    });
    const rows = await db.selectFrom('audit_event').select(['event', 'actor_id']).execute();
    expect(rows.filter(({ event }) => event === 'credential.revealed')).toEqual([
      { event: 'credential.revealed', actor_id: 'shop' },
    ]);
  });

  test('holds no secret any more once it is removed, but for what tokens are disabled with', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const contents = {
      accept_payments: account,
      opcard: { appKey: 'app-1', appSecret },
      opccount: { number: 'VA1', vaCode: '1', privateKey: 'key-1' },
    } as const;
    for (const family of ['accept_payments', 'opcard', 'opccount'] as const) {
      const key = { name: 'gone', family };
      await addCredential(dependencies, key, 'sandbox', contents[family], testActor);
      await removeCredential(dependencies, key, testActor);
      const { row, secrets } = await secretsOf(dependencies, key);
      expect(row).toMatchObject({ state: 'removed', app_key_index: null });
      const kept = family === 'accept_payments' ? { secureCode: account.secureCode } : {};
      expect(secrets).toEqual(kept);
    }
  });

  test('takes over every one of several changes at the same time', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    await addCredential(dependencies, till, 'sandbox', account, testActor);
    let others = 0;
    const apply: typeof dependencies.door.apply = async (request) => {
      others += 1;
      if (others === 1) {
        await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor);
      }
      return await dependencies.door.apply(request);
    };
    const overtaken = { ...dependencies, door: { ...dependencies.door, apply } };
    expect(await rotateCredential(overtaken, till, { publicKey: 'p2' }, testActor)).toBe('rotated');
    expect((await secretsOf(dependencies, till)).secrets).toEqual({
      secureCode: 'code-2',
      secureCodePrevious: 'code-1',
      publicKey: 'p2',
    });
  });

  test('of the other environment is used there and nowhere else', async ({ openTokenHarness }) => {
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
});
