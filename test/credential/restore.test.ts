import { describe, expect } from 'vitest';
import type { CredentialFamily } from '../../src/domain/credential.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { addCredential, endOverlap, rotateCredential } from '../../src/credential/rotate.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { testActor } from '../support/builders.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { appSecret, test } from '../support/harness/token-harness.ts';

const till = { name: 'till', family: 'accept_payments' } as const;
const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };

const contents: readonly (readonly [CredentialFamily, Readonly<Record<string, string>>])[] = [
  ['accept_payments', account],
  ['opcard', { appKey: 'app-1', appSecret }],
  ['opccount', { number: 'VA1', vaCode: '1', privateKey: 'k' }],
];

describe('a removed name', () => {
  test.for(contents)(
    'is stored again also when the encryption key of what it held was retired: %s',
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

  test('verifies with the former secure codes of its account, and with none of another one', async ({
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
