import { describe, expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { openAccount } from '../../src/jobs/gateway-accounts.ts';
import { addCredential, endOverlap, rotateCredential } from '../../src/jobs/rotate-credential.ts';
import { revealOpccount } from '../../src/jobs/reveal-opccount.ts';
import { removeCredential } from '../../src/jobs/remove-credential.ts';
import {
  findAccountAtStart,
  storeConfiguredCredentials,
} from '../../src/jobs/store-configured-credentials.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { Secret } from '../../src/security/secret.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { testActor } from '../support/builders.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { appSecret, test, type TokenDesk } from '../support/token-desk.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };
const till = { name: 'till', family: 'accept_payments' } as const;
const cards = { name: 'cards', family: 'opcard' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

describe('a credential', () => {
  test('has the content of its family, and what is wrong is named without its value', async ({
    openTokenDesk,
  }) => {
    const { dependencies } = await openTokenDesk();
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
    openTokenDesk,
  }) => {
    const { dependencies } = await openTokenDesk();
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
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk();
    const { dependencies } = desk;
    await addCredential(dependencies, till, 'sandbox', { ...account, publicKey: 'p' }, testActor);
    const codes = async (): Promise<readonly string[]> => {
      const { row } = await secretsOf(desk.dependencies, till);
      return openAccount(dependencies.keyring, row).secureCodes.map((code) => code.reveal());
    };
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'rotated',
    );
    expect(await codes()).toEqual(['code-2', 'code-1']);
    expect((await secretsOf(desk.dependencies, till)).secrets['publicKey']).toBe('p');
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'unchanged',
    );
    expect(await endOverlap(dependencies, till, testActor)).toBe('rotated');
    expect(await codes()).toEqual(['code-2']);
    expect(await endOverlap(dependencies, till, testActor)).toBe('unchanged');
  });

  test('verifies with every code of the overlap, the first of which the gateway may still use, until it is ended', async ({
    openTokenDesk,
  }) => {
    const { dependencies } = await openTokenDesk();
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

  test('is rotated although a backend gets it at the same moment', async ({ openTokenDesk }) => {
    const { dependencies } = await openTokenDesk();
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
    openTokenDesk,
  }) => {
    const { dependencies } = await openTokenDesk();
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
    openTokenDesk,
  }) => {
    const { dependencies } = await openTokenDesk();
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

  test('takes over every one of several changes at the same time', async ({ openTokenDesk }) => {
    const { dependencies } = await openTokenDesk();
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

  test('of the other environment is used there and nowhere else', async ({ openTokenDesk }) => {
    const other = await startSandbox({ opcardApps: [{ appKey: 'app-1', appSecret }] });
    const desk = await openTokenDesk();
    const { dependencies, sandbox } = desk;
    const gateway = createGatewayClient({
      environment: 'sandbox',
      checkoutUrl: sandbox.checkoutUrl,
      openApiUrl: sandbox.openApiUrl,
      otherPlace: { checkoutUrl: other.checkoutUrl, openApiUrl: other.openApiUrl },
      timeoutMs: 2_000,
    });
    const content = { appKey: 'app-1', appSecret };
    await addCredential(dependencies, cards, 'production', content, testActor);
    expect(await desk.renew('cards', { as: { gateway } })).toBe('issued');
    await desk.makeDue('cards');
    expect(await desk.renew('cards', { as: { gateway } })).toBe('refreshed');
    expect(other.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 1 });
    expect(sandbox.state().calls).toMatchObject({ 'oauth-create': 0, 'oauth-refresh': 0 });
    await gateway.close();
    await other.close();
  });
});

describe('the environment', () => {
  const inEnvironment = { name: 'default', family: 'accept_payments' } as const;
  const place = { account: account.account, terminal: account.terminal };

  /** A start with these values, and the sealed secrets after it. */
  function openStarts({ dependencies, logs }: TokenDesk) {
    const start = async (
      values: {
        readonly code: string;
        readonly previous?: string;
        readonly account?: string;
        readonly environment?: 'production';
      },
      keyring = dependencies.keyring,
    ) => {
      const acceptPayments = {
        ...place,
        ...(values.account !== undefined && { account: values.account }),
        secureCode: new Secret(values.code),
        secureCodePrevious: values.previous === undefined ? undefined : new Secret(values.previous),
      };
      await storeConfiguredCredentials(
        { ...dependencies, keyring },
        { acceptPayments },
        values.environment ?? 'sandbox',
      );
      return await secretsOf({ ...dependencies, keyring }, inEnvironment);
    };
    const rotate = async (change: Readonly<Record<string, string>>) =>
      await rotateCredential(dependencies, inEnvironment, change, testActor);
    return { start, rotate, logs };
  }

  test('is taken over where it has changed, and leaves alone what an operator changed', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk();
    const { start, rotate } = openStarts(desk);
    const first = await start({ code: 'code-1' });
    expect((await start({ code: 'code-1' })).row.version).toBe(first.row.version);

    await rotate({ secureCode: 'code-2', publicKey: 'p2' });
    const rotated = { secureCode: 'code-2', secureCodePrevious: 'code-1', publicKey: 'p2' };
    expect((await start({ code: 'code-1' })).secrets).toEqual(rotated);
    // The environment catches up: the overlap goes on.
    expect((await start({ code: 'code-2' })).secrets).toEqual(rotated);
    // It changes the code by itself: the former one verifies on, and what it never named stays.
    expect((await start({ code: 'code-3' })).secrets).toEqual({
      secureCode: 'code-3',
      secureCodePrevious: 'code-2',
      secureCodePrevious2: 'code-1',
      publicKey: 'p2',
    });
    // It names the former code, and later no longer does: the overlap is over.
    await start({ code: 'code-3', previous: 'code-0' });
    expect((await start({ code: 'code-3' })).secrets).toEqual({
      secureCode: 'code-3',
      publicKey: 'p2',
    });
    // Another account has nothing of the former one, nor has the same account elsewhere.
    await rotate({ publicKey: 'p3' });
    expect((await start({ code: 'code-4', account: '654321' })).secrets).toEqual({
      secureCode: 'code-4',
    });
    await rotate({ publicKey: 'p4' });
    const elsewhere = { code: 'code-5', account: '654321', environment: 'production' } as const;
    expect(await start(elsewhere)).toMatchObject({ row: { environment: 'production' } });
    expect((await start(elsewhere)).secrets).toEqual({ secureCode: 'code-5' });
  });

  test('gives nothing but the fields that it has changed itself', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    const { start, rotate } = openStarts(desk);
    await start({ code: 'code-0' });
    expect((await start({ code: 'code-1', previous: 'code-0' })).secrets).toEqual({
      secureCode: 'code-1',
      secureCodePrevious: 'code-0',
    });
    await rotate({ secureCode: 'code-2' });
    // It names the former code no more: that one is forgotten, and the operator's overlap goes on.
    const { secrets } = await start({ code: 'code-1' });
    expect(secrets).toEqual({ secureCode: 'code-2', secureCodePrevious: 'code-1' });

    await start({ code: 'code-1', previous: 'code-0' });
    await endOverlap(desk.dependencies, inEnvironment, testActor);
    expect((await start({ code: 'code-1' })).secrets).toEqual({ secureCode: 'code-2' });

    const { dependencies } = desk;
    const funds = { name: 'default', family: 'opccount' } as const;
    const startWith = async (vaCode: string) => {
      const opccount = { number: 'VA1', vaCode: new Secret(vaCode), privateKey: new Secret('k1') };
      await storeConfiguredCredentials(dependencies, { opccount }, 'sandbox');
      return (await secretsOf(dependencies, funds)).secrets;
    };
    await startWith('1');
    await rotateCredential(dependencies, funds, { privateKey: 'k2' }, testActor);
    expect(await startWith('2')).toEqual({ number: 'VA1', vaCode: '2', privateKey: 'k2' });
  });

  test('is known by what it said also after a new encryption key', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    const { start, rotate } = openStarts(desk);
    await start({ code: 'code-1' });
    await rotate({ secureCode: 'code-2' });
    const newer = generateEncryptionKey('k2');
    const { encryptionKeys } = loadConfig(desk.env);
    const both = createKeyring([newer, ...encryptionKeys]);
    const { secrets, row } = await start({ code: 'code-1' }, both);
    expect(secrets['secureCode']).toBe('code-2');
    // All of it is under the new key now, and the former one may be retired.
    const alone = await start({ code: 'code-1' }, createKeyring([newer]));
    expect(alone.secrets).toEqual(secrets);
    expect(alone.row.version).toBe(row.version);
    expect(JSON.stringify(row)).not.toContain('code-1');
  });

  test('neither brings back what was removed nor is refused for it', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    const { start, rotate, logs } = openStarts(desk);
    const { keyring, db } = desk.dependencies;
    const configured = {
      acceptPayments: { ...place, secureCode: new Secret('code-1') },
    };
    const atStart = async () => await findAccountAtStart({ db, keyring }, configured, 'sandbox');
    // Looking stores nothing.
    expect((await atStart())?.secureCode.reveal()).toBe('code-1');
    await expect(secretsOf(desk.dependencies, inEnvironment)).rejects.toThrow('no such');

    await start({ code: 'code-1' });
    await rotate({ secureCode: 'code-2' });
    expect((await atStart())?.secureCode.reveal()).toBe('code-2');

    await removeCredential(desk.dependencies, inEnvironment, testActor);
    expect((await start({ code: 'code-1' })).row.state).toBe('removed');
    expect(await atStart()).toBeUndefined();
    expect(logs.join('')).toContain('the environment holds a credential that was removed');

    // What the operator adds in its place is not written over either.
    const other = { ...account, account: '654321', secureCode: 'code-9' };
    await addCredential(desk.dependencies, inEnvironment, 'sandbox', other, testActor);
    for (const code of ['code-1', 'code-3']) {
      expect(await start({ code })).toMatchObject({
        row: { account: '654321' },
        secrets: { secureCode: 'code-9' },
      });
    }
  });
});
