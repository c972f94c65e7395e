import { describe, expect } from 'vitest';
import { createAccounts, getAccountOf, type Suffices } from '../../src/account/accounts.ts';
import { addCredential } from '../../src/credential/add.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { testActor } from '../support/builders.ts';
import { test } from '../support/harness/token-harness.ts';

const till = { name: 'till', family: 'accept_payments' } as const;
const keys = { account: '123456', terminal: '12345678' };

describe('accounts kept by a process', () => {
  test('are read once, and stay as they were until they do not suffice', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const { db, keyring } = dependencies;
    await addCredential(dependencies, till, 'sandbox', { ...keys, secureCode: 'a' }, testActor);
    const accounts = createAccounts(db, keyring, 3_600_000);
    const first = await accounts.findByAccount(keys.account, keys.terminal);
    await rotateCredential(dependencies, till, { secureCode: 'b' }, testActor);

    const kept = await accounts.findByAccount(keys.account, keys.terminal);
    expect(kept).toBe(first);
    expect(kept?.open()).toBe(first?.open());
    const isRotated: Suffices = ({ open }) => open().secureCode.reveal() === 'b';
    const fresh = await accounts.findByAccount(keys.account, keys.terminal, isRotated);
    expect(fresh?.open().secureCode.reveal()).toBe('b');
    expect(await accounts.findByAccount(keys.account, keys.terminal)).toBe(fresh);
  });

  test('with no time to keep them, each read queries the database', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    await addCredential(dependencies, till, 'sandbox', { ...keys, secureCode: 'a' }, testActor);
    const accounts = createAccounts(dependencies.db, dependencies.keyring, 0);
    expect((await accounts.findByName('till'))?.credential.state).toBe('active');
    await removeCredential(dependencies, till, testActor);
    expect((await accounts.findByName('till'))?.credential.state).toBe('removed');
    expect(await accounts.findByAccount(keys.account, keys.terminal)).toBeUndefined();
  });

  test('an unknown account is looked up each time, so that one that is added is found at once', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const accounts = createAccounts(dependencies.db, dependencies.keyring, 3_600_000);
    expect(await accounts.findByName('till')).toBeUndefined();
    await addCredential(dependencies, till, 'sandbox', { ...keys, secureCode: 'a' }, testActor);
    expect((await accounts.findByName('till'))?.credential.name).toBe('till');
  });

  test('a tokenization whose credential holds another account has none', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    await addCredential(dependencies, till, 'sandbox', { ...keys, secureCode: 'a' }, testActor);
    const accounts = createAccounts(dependencies.db, dependencies.keyring, 3_600_000);
    const id = (await accounts.findByName('till'))?.credential.id ?? '';
    const own = { credential_id: id, ...keys };
    expect((await getAccountOf({ accounts }, own)).secureCode.reveal()).toBe('a');
    await expect(
      getAccountOf({ accounts }, { ...own, terminal: '99999999' }),
    ).rejects.toMatchObject({ code: 'credential_not_found' });
  });
});
