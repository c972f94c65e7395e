import { describe, expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { addCredential, endOverlap, rotateCredential } from '../../src/credential/rotate.ts';
import {
  findAccountAtStart,
  storeConfiguredCredentials,
} from '../../src/credential/sync-environment.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { test, type TokenHarness } from '../support/harness/token-harness.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };

describe('the environment', () => {
  const inEnvironment = { name: 'default', family: 'accept_payments' } as const;
  const place = { account: account.account, terminal: account.terminal };

  /** A start with these values, and the sealed secrets after it. */
  function openStarts({ dependencies, logs }: TokenHarness) {
    const start = async (
      values: {
        readonly code: string;
        readonly previous?: string;
        readonly publicKey?: string;
        readonly account?: string;
        readonly environment?: 'production';
      },
      keyring = dependencies.keyring,
    ) => {
      const acceptPayments = {
        ...place,
        ...(values.account !== undefined && { account: values.account }),
        secureCode: new Secret(values.code),
        publicKey: values.publicKey === undefined ? undefined : new Secret(values.publicKey),
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
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { start, rotate } = openStarts(harness);
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

  test('gives nothing but the fields that it has changed itself', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    const { start, rotate } = openStarts(harness);
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
    await endOverlap(harness.dependencies, inEnvironment, testActor);
    expect((await start({ code: 'code-1' })).secrets).toEqual({ secureCode: 'code-2' });

    const { dependencies } = harness;
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

  test('takes back what it no longer names, and not what an operator has put in its place', async ({
    openTokenHarness,
  }) => {
    const { start, rotate } = openStarts(await openTokenHarness());
    await start({ code: 'code-1', publicKey: 'p1' });
    expect((await start({ code: 'code-1' })).secrets).toEqual({ secureCode: 'code-1' });

    await start({ code: 'code-1', publicKey: 'p1' });
    await rotate({ publicKey: 'p2' });
    const rotated = { secureCode: 'code-1', publicKey: 'p2' };
    expect((await start({ code: 'code-1' })).secrets).toEqual(rotated);
    expect((await start({ code: 'code-1' })).secrets).toEqual(rotated);
    // Named anew it is taken over.
    expect((await start({ code: 'code-1', publicKey: 'p1' })).secrets['publicKey']).toBe('p1');
  });

  test('is known by what it said also after a new encryption key', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    const { start, rotate } = openStarts(harness);
    await start({ code: 'code-1' });
    await rotate({ secureCode: 'code-2' });
    const newer = generateEncryptionKey('k2');
    const { encryptionKeys } = loadConfig(harness.env);
    const both = createKeyring([newer, ...encryptionKeys]);
    const { secrets, row } = await start({ code: 'code-1' }, both);
    expect(secrets['secureCode']).toBe('code-2');
    // All of it is under the new key now, and the former one may be retired.
    const alone = await start({ code: 'code-1' }, createKeyring([newer]));
    expect(alone.secrets).toEqual(secrets);
    expect(alone.row.version).toBe(row.version);
    expect(JSON.stringify(row)).not.toContain('code-1');
  });

  test('neither brings back what was removed nor is refused for it', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { start, rotate, logs } = openStarts(harness);
    const { keyring, db } = harness.dependencies;
    const configured = {
      acceptPayments: { ...place, secureCode: new Secret('code-1') },
    };
    const atStart = async () => await findAccountAtStart({ db, keyring }, configured, 'sandbox');
    // Looking stores nothing.
    expect((await atStart())?.secureCode.reveal()).toBe('code-1');
    await expect(secretsOf(harness.dependencies, inEnvironment)).rejects.toThrow('no such');

    await start({ code: 'code-1' });
    await rotate({ secureCode: 'code-2' });
    expect((await atStart())?.secureCode.reveal()).toBe('code-2');

    await removeCredential(harness.dependencies, inEnvironment, testActor);
    expect((await start({ code: 'code-1' })).row.state).toBe('removed');
    expect(await atStart()).toBeUndefined();
    expect(logs.join('')).toContain('the environment holds a credential that was removed');

    // What the operator adds in its place is not written over either.
    const other = { ...account, account: '654321', secureCode: 'code-9' };
    await addCredential(harness.dependencies, inEnvironment, 'sandbox', other, testActor);
    for (const code of ['code-1', 'code-3']) {
      expect(await start({ code })).toMatchObject({
        row: { account: '654321' },
        secrets: { secureCode: 'code-9' },
      });
    }
  });
});
