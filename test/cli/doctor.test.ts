import { describe, expect } from 'vitest';
import { addCredential } from '../../src/credential/add.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { storeEnvironmentCredentials } from '../../src/credential/environment.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor, tokenizationColumns } from '../support/builders.ts';
import { runCli, spawnCli } from '../support/harness/run-cli.ts';
import { appSecret, test, type TokenHarness } from '../support/harness/token-harness.ts';

const doctor = async ({ env }: TokenHarness, changes: Readonly<Record<string, string>> = {}) =>
  await runCli(['doctor'], { ...env, ...changes });

/** The lines that report a fault. */
const complaints = (output: string): readonly string[] =>
  output.split('\n').filter((line) => line.startsWith('!!'));

describe('doctor', () => {
  test('reports how long an outage the access tokens survive', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    const good = await spawnCli(['doctor'], harness.env);
    expect(good).toMatchObject({ code: 0, output: expect.stringContaining(' of 9.5 minutes,') });
    expect(good.output).toContain('ok  no OPCard application is configured');
    const late = await doctor(harness, { ACCESS_TOKEN_DUE_FRACTION: '0.95' });
    expect(late).toMatchObject({ code: 0, output: expect.stringContaining(' of 8.8 minutes,') });
  });

  test('names the credentials whose access token is refused, missing or expired', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
    const { dependencies } = harness;
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const good = await doctor(harness);
    expect(good).toMatchObject({
      code: 0,
      output: expect.stringContaining('ok  every OPCard credential has a valid access token'),
    });
    // A token of the other environment does not count.
    const elsewhere = { environment: 'production' } as const;
    await dependencies.db.updateTable('access_token').set(elsewhere).execute();
    expect(complaints((await doctor(harness)).output)).toEqual([
      expect.stringMatching(/^!! {2}"cards": there is no access token/),
    ]);
    await dependencies.db.updateTable('access_token').set({ environment: 'sandbox' }).execute();
    await harness.expire('cards');
    const wrong = { appKey: 'app-2', appSecret: 'hunter2' };
    const add = async (name: string, content: object) =>
      await addCredential(dependencies, { name, family: 'opcard' }, 'sandbox', content, testActor);
    await add('refused', wrong);
    expect(await harness.renew('refused')).toBe('suspended');
    for (const count of [1, 2, 3, 4, 5, 6]) {
      await add(`new-${count}`, { appKey: `other-${count}`, appSecret });
    }
    await add('removed', { appKey: 'app-9', appSecret });
    await removeCredential(dependencies, { name: 'removed', family: 'opcard' }, testActor);
    const bad = await doctor(harness);
    expect(bad.code).toBe(1);
    expect(complaints(bad.output)).toEqual([
      expect.stringMatching(
        /^!! {2}"new-1", "new-2", "new-3", "new-4", "new-5" and 1 more: there is no access token/,
      ),
      expect.stringMatching(/^!! {2}"cards": the access token has expired/),
      expect.stringMatching(/^!! {2}"refused": the gateway refuses the app key and secret/),
    ]);
    expect(bad.output).not.toContain('hunter2');
  });

  test('checks whether the gateway answers OAuth calls, and creates no token', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const opcard = { OPCARD_APP_KEY: 'app-1', OPCARD_APP_SECRET: appSecret };
    const good = await doctor(harness, opcard);
    expect(good).toMatchObject({
      code: 0,
      output: expect.stringContaining('ok  the gateway answers OAuth calls (sandbox)'),
    });
    expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-create': 0, 'oauth-refresh': 1 });
    for (const url of ['http://127.0.0.1:9', `${harness.sandbox.url}/elsewhere`]) {
      const bad = await doctor(harness, { ...opcard, OCEANPAYMENT_OPEN_API_URL: url });
      expect(bad.code).toBe(1);
      expect(complaints(bad.output)).toEqual([
        expect.stringContaining('look at OCEANPAYMENT_OPEN_API_URL, HTTPS_PROXY and the network'),
      ]);
    }
  });

  test('reports a stored account whose encryption key is missing, and goes on', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const acceptPayments = {
      account: '123456',
      terminal: '12345678',
      secureCode: new Secret('code-1'),
    };
    await storeEnvironmentCredentials(harness.dependencies, { acceptPayments }, 'sandbox');
    const { code, output } = await doctor(harness, {
      ENCRYPTION_KEYS: `k2:${generateEncryptionKey('k2').key.reveal()}`,
    });
    expect(code).toBe(1);
    expect(complaints(output)).toEqual([
      '!!  A sealed credential.secrets_sealed needs a key that is missing from ENCRYPTION_KEYS: add it.',
    ]);
    expect(output).toContain('ok  the queues take writes');
  });

  test('reports what manages each credential and why a start would be refused, as the start does', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { dependencies } = harness;
    const { db, door } = dependencies;
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const account = { account: '123456', terminal: '12345678' };
    const acceptPayments = { ...account, secureCode: new Secret('code-1') };
    await storeEnvironmentCredentials(dependencies, { acceptPayments }, 'sandbox');
    const { id } = await db
      .selectFrom('credential')
      .select('id')
      .where('family', '=', 'accept_payments')
      .executeTakeFirstOrThrow();
    await door.apply({
      entity: 'tokenization',
      row: { id, version: 0, state: null },
      event: 'tokenization.requested',
      patch: { ...tokenizationColumns(id), ...account },
      audit: { actor: testActor },
    });
    const changes = {
      OPCARD_APP_KEY: 'app-1',
      OPCARD_APP_SECRET: appSecret,
      OCEANPAYMENT_ACCOUNT: '222222',
      OCEANPAYMENT_TERMINAL: account.terminal,
      OCEANPAYMENT_SECURE_CODE: 'hunter2',
    };
    const { code, output } = await doctor(harness, changes);
    expect(code).toBe(1);
    expect(output).toContain('ok  managed by environment: "default" (accept_payments)\n');
    expect(output).toContain('ok  managed by command: "cards" (opcard)\n');
    expect(complaints(output).slice(0, 2)).toEqual([
      expect.stringMatching(/^!! {2}a start would be refused: .* need its current account: store/),
      '!!  a start would be refused: The credential "cards" already holds this application.',
    ]);
    const started = await spawnCli(['start'], {
      ...harness.env,
      ...changes,
      CALLBACK_PORT: '0',
      OPS_PORT: '0',
    });
    expect(started).toMatchObject({
      code: 1,
      output: expect.stringContaining('need its current account: store the new account'),
    });
    expect(output + started.output).not.toContain('hunter2');
  });
});
