import { expect } from 'vitest';
import { createGatewayClient } from '../../../src/gateway/client.ts';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { testActor } from '../../support/builders.ts';
import { secretsOf } from '../../support/secrets-of.ts';
import { appSecret, dyingDoor, test } from '../../support/harness/token-harness.ts';

const cards = { name: 'cards', family: 'opcard' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

test('the access token of one environment is neither read nor renewed in the other, even if the app key has the same digest in both', async ({
  openTokenHarness,
}) => {
  const other = await startSandbox({ opcardApps: [{ appKey: 'app-1', appSecret }] });
  const harness = await openTokenHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      refreshAccessToken: async () =>
        await Promise.resolve({ kind: 'unknown', cause: 'timeout' } as const),
    }),
  });
  const { dependencies, sandbox } = harness;
  const { db, keyring } = dependencies;
  const gateway = createGatewayClient({
    environment: 'sandbox',
    checkoutUrl: sandbox.checkoutUrl,
    openApiUrl: sandbox.openApiUrl,
    otherPlace: { checkoutUrl: other.checkoutUrl, openApiUrl: other.openApiUrl },
    timeoutMs: 2_000,
  });
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const older = { app_key_index: keyring.blindIndex('app_key', 'app-1') };
  await harness.makeDue('cards');
  expect(await harness.renew('cards')).toBe('outcome_unknown');
  await db.updateTable('access_token').set(older).execute();
  await db.updateTable('credential').set(older).execute();
  const reader = createAccessTokenReader({
    ...dependencies,
    isSubscribed: () => false,
    waitMsMax: 0,
  });
  const tokenIsNotRead = async (): Promise<void> =>
    await expect(reader.read('cards', shop)).rejects.toMatchObject({
      code: 'access_token_unavailable',
    });
  await expect(
    storeCredential(
      { ...dependencies, door: dyingDoor(dependencies.door, 'access_token.cleared') },
      { ...cards, environment: 'production', secrets: { appKey: 'app-1', appSecret } },
      testActor,
    ),
  ).rejects.toThrow('killed');
  expect((await secretsOf(dependencies, cards)).row.app_key_index).not.toBe(older.app_key_index);
  await tokenIsNotRead();
  // The digest is the same in both environments.
  await db.updateTable('credential').set(older).execute();
  await tokenIsNotRead();
  await harness.makeDue('cards');
  expect(await harness.renew('cards', { as: { gateway } })).toBe('issued');
  expect(await harness.row('cards')).toMatchObject({ environment: 'production', generation: 2 });
  expect(other.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 0 });
  expect(await reader.read('cards', shop)).toMatchObject({ generation: 2 });
  await reader.close();
  await gateway.close();
  await other.close();
});
