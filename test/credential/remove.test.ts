import { expect } from 'vitest';
import { addCredential } from '../../src/credential/add.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { testActor } from '../support/builders.ts';
import { appSecret, test } from '../support/harness/token-harness.ts';
import { secretsOf } from '../support/secrets-of.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };

test('a removed credential keeps no secret but the one that disables tokens', async ({
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
