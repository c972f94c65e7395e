import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { findAccessToken, findDueAccessTokens } from '../../src/db/access-tokens.ts';
import { findCredential } from '../../src/db/credentials.ts';
import type { CredentialRow } from '../../src/db/rows.ts';
import { clearForRemovedCredential } from '../../src/access-token/registration.ts';
import { createAccessTokenReader } from '../../src/access-token/read/reader.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { addCredential } from '../../src/credential/add.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { testActor } from '../support/builders.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { holdDueToken, appSecret, test } from '../support/harness/token-harness.ts';

const cards = { name: 'cards', family: 'opcard' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

describe('the access token of a credential', () => {
  test('is due at once when the secret that the gateway refused is replaced', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const wrong = { appKey: 'app-1', appSecret: 'wrong' };
    await addCredential(harness.dependencies, cards, 'sandbox', wrong, testActor);
    expect(await harness.renew('cards')).toBe('suspended');
    expect(await harness.renew('cards')).toBe('too_soon');
    await rotateCredential(harness.dependencies, cards, { appSecret }, testActor);
    expect(await harness.row('cards')).toMatchObject({ failures: 0 });
    expect(await harness.renew('cards')).toBe('issued');
  });

  test('is due at once when the secret is replaced while the gateway refuses the former one', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createAccessToken: async (...call) => {
          const reply = await gateway.createAccessToken(...call);
          await rotateCredential(harness.dependencies, cards, { appSecret }, testActor);
          return reply;
        },
      }),
    });
    const wrong = { appKey: 'app-1', appSecret: 'wrong' };
    await addCredential(harness.dependencies, cards, 'sandbox', wrong, testActor);
    await harness.dependencies.db.deleteFrom('outbox').execute();
    expect(await harness.renew('cards')).toBe('credential_replaced');
    const jobs = await harness.dependencies.db.selectFrom('outbox').selectAll().execute();
    expect(jobs).toMatchObject([{ job_name: 'access-token.refresh' }]);
    expect(await harness.renew('cards')).toBe('issued');
  });

  test('is never one of the application that the credential named before', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const former = await harness.accessToken('cards');
    // A process that dies between the two commits leaves a new credential with the old token.
    const { row } = await secretsOf(harness.dependencies, cards);
    const before = await findAccessToken(harness.dependencies.db, row.id);
    await harness.add('cards', 'app-2');
    await harness.dependencies.db
      .updateTable('access_token')
      .set({
        access_token_sealed: before?.access_token_sealed ?? null,
        refresh_token_sealed: before?.refresh_token_sealed ?? null,
        issued_at: before?.issued_at ?? null,
        expires_at: before?.expires_at ?? null,
        app_key_index: before?.app_key_index ?? null,
      })
      .execute();
    const reader = createAccessTokenReader({
      ...harness.dependencies,
      isSubscribed: () => false,
      waitMsMax: 0,
    });
    await expect(reader.read('cards', shop)).rejects.toMatchObject({
      code: 'access_token_unavailable',
    });
    expect(await harness.renew('cards')).toBe('issued');
    expect((await reader.read('cards', shop)).accessToken.reveal()).not.toBe(former);
    expect(harness.sandbox.state().calls['oauth-refresh']).toBe(0);
    await reader.close();
  });

  test('survives a new encryption key and a new app secret', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const newer = `k2:${generateEncryptionKey('k2').key.reveal()}`;
    const { encryptionKeys } = loadConfig({
      ...harness.env,
      ENCRYPTION_KEYS: `${newer},${harness.env['ENCRYPTION_KEYS'] ?? ''}`,
    });
    const dependencies = { ...harness.dependencies, keyring: createKeyring(encryptionKeys) };
    await rotateCredential(dependencies, cards, { appSecret: 'new-secret' }, testActor);
    const { row } = await secretsOf(dependencies, cards);
    expect(row.secrets_sealed).toMatch(/^v1\.k2\./);
    const reader = createAccessTokenReader({ ...dependencies, isSubscribed: () => false });
    expect(await reader.read('cards', shop)).toMatchObject({ generation: 1 });
    await reader.close();
    // The same app key in the other environment is another application.
    await storeCredential(
      dependencies,
      { ...cards, environment: 'production', secrets: { appKey: 'app-1', appSecret } },
      testActor,
    );
    expect((await secretsOf(dependencies, cards)).row.app_key_index).not.toBe(row.app_key_index);
    expect(await harness.row('cards')).toMatchObject({ state: 'none', access_token_sealed: null });
  });

  test('is requested for the application that the credential holds when the call is made', async ({
    openTokenHarness,
  }) => {
    let whileWaiting: () => Promise<void> = async () => await Promise.resolve();
    const harness = await openTokenHarness({
      appKeys: ['app-1', 'app-2'],
      wrapGateway: (gateway) => ({
        ...gateway,
        acquireOauthPermit: async (environment) => {
          await whileWaiting();
          return await gateway.acquireOauthPermit(environment);
        },
      }),
    });
    await holdDueToken(harness, 'cards', 'app-1');
    whileWaiting = async () => await harness.add('cards', 'app-2');
    expect(await harness.renew('cards', { generation: 1 })).toBe('issued');
    const { row } = await secretsOf(harness.dependencies, cards);
    expect((await harness.row('cards')).app_key_index).toBe(row.app_key_index);
    const reader = createAccessTokenReader({ ...harness.dependencies, isSubscribed: () => false });
    expect(await reader.read('cards', shop)).toMatchObject({ generation: 2 });
    await reader.close();
    whileWaiting = async () => await removeCredential(harness.dependencies, cards, testActor);
    await harness.makeDue('cards');
    expect(await harness.renew('cards', { generation: 2 })).toBe('lease_held');
  });

  test('is reset even when the process dies while it changes the application', async ({
    openTokenHarness,
  }) => {
    let isSilent = true;
    const harness = await openTokenHarness({
      appKeys: ['app-1', 'app-2', 'app-3'],
      // A gateway may send no refresh token; the one of the former application is not kept.
      wrapGateway: (gateway) => ({
        ...gateway,
        createAccessToken: async (...call) => {
          const reply = await gateway.createAccessToken(...call);
          return isSilent && reply.kind === 'done' ? { ...reply, refreshToken: undefined } : reply;
        },
      }),
    });
    const { dependencies } = harness;
    const dieWhileChangingTo = async (appKey: string): Promise<void> =>
      await expect(
        harness.add('cards', appKey, { diesBefore: 'access_token.cleared' }),
      ).rejects.toThrow('killed');
    isSilent = false;
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    isSilent = true;
    await dependencies.db.deleteFrom('outbox').execute();

    // A job is committed with the credential, and its run is not too soon.
    await dieWhileChangingTo('app-2');
    const jobs = await dependencies.db.selectFrom('outbox').selectAll().execute();
    expect(jobs).toMatchObject([{ payload: { v: 1, credential: 'cards' } }]);
    expect(await harness.renew('cards')).toBe('issued');
    expect(await harness.row('cards')).toMatchObject({ generation: 2, refresh_token_sealed: null });
    expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-create': 2, 'oauth-refresh': 0 });

    // Storing the credential again resets the token too, once.
    await dieWhileChangingTo('app-3');
    await harness.add('cards', 'app-3');
    expect(await harness.row('cards')).toMatchObject({ state: 'none', access_token_sealed: null });
    await harness.add('cards', 'app-3');
    expect((await harness.events('cards')).filter((event) => event === 'cleared')).toHaveLength(1);
    expect(await harness.renew('cards')).toBe('issued');

    // A job that meets a renewal of the former application runs again after its lease.
    await dieWhileChangingTo('app-2');
    const { db } = dependencies;
    const lease = sql<Date>`now() + interval '1 minute'`;
    await db.updateTable('access_token').set({ lease_until: lease }).execute();
    expect(await harness.renew('cards')).toBe('former_app');
    await db.updateTable('access_token').set({ lease_until: null }).execute();
    expect(await harness.renew('cards')).toBe('issued');

    // The first reader triggers the renewal too, before the former token would have been due.
    await dieWhileChangingTo('app-1');
    await dependencies.db.deleteFrom('outbox').execute();
    const reader = createAccessTokenReader({
      ...dependencies,
      isSubscribed: () => false,
      onJobsWritten: () => void harness.renew('cards', { generation: 4 }),
    });
    expect(await reader.read('cards', shop)).toMatchObject({ generation: 5 });
    await reader.close();
  });

  test('is cleared even when the process dies while it removes the credential', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { db } = harness.dependencies;
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    await db.deleteFrom('outbox').execute();
    await expect(harness.remove('cards', { diesBefore: 'access_token.cleared' })).rejects.toThrow(
      'killed',
    );
    expect((await harness.row('cards')).access_token_sealed).not.toBeNull();
    const jobs = await db.selectFrom('outbox').selectAll().execute();
    expect(jobs).toMatchObject([{ payload: { v: 1, credential: 'cards' } }]);
    // If the queue loses that job, the scan enqueues it again.
    await harness.makeDue('cards');
    expect(await findDueAccessTokens(db, 10, 1_000)).toMatchObject([{ credential: 'cards' }]);

    for (let runs = 0; runs < 2; runs += 1) {
      expect(await harness.renew('cards')).toBe('credential_removed');
    }
    expect(await harness.row('cards')).toMatchObject({
      state: 'none',
      access_token_sealed: null,
      refresh_token_sealed: null,
      due_at: null,
    });
    expect((await harness.events('cards')).filter((event) => event === 'cleared')).toHaveLength(1);
  });

  test('is kept by a late removal when the credential was restored in between', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { dependencies } = harness;
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const removeHalf = async (): Promise<CredentialRow> => {
      await expect(harness.remove('cards', { diesBefore: 'access_token.cleared' })).rejects.toThrow(
        'killed',
      );
      return (await findCredential(dependencies.db, 'cards', 'opcard')) ?? expect.fail();
    };
    const restore = async (): Promise<void> => {
      const content = { appKey: 'app-1', appSecret };
      await addCredential(dependencies, cards, 'sandbox', content, testActor);
    };
    const removed = await removeHalf();
    await restore();
    await clearForRemovedCredential(dependencies, removed, testActor);
    expect(await harness.accessToken('cards')).toBeDefined();

    // Restored between its read and its commit: the token is cleared, and a new one is due.
    const removedAgain = await removeHalf();
    const { door } = dependencies;
    let restoring: Promise<void> | undefined;
    const apply: typeof door.apply = async (request) => {
      await (restoring ??= restore());
      return await door.apply(request);
    };
    await clearForRemovedCredential(
      { ...dependencies, door: { ...door, apply } },
      removedAgain,
      testActor,
    );
    expect((await harness.row('cards')).due_at).not.toBeNull();
    expect(await harness.renew('cards')).toMatch(/issued|too_soon/);
    expect(await harness.accessToken('cards')).toBeDefined();
  });

  test('is cleared when the credential is removed, even during a renewal', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        refreshAccessToken: async (...call) => {
          const reply = await gateway.refreshAccessToken(...call);
          await removeCredential(harness.dependencies, cards, testActor);
          return reply;
        },
      }),
    });
    await holdDueToken(harness, 'cards', 'app-1');
    expect(await harness.renew('cards')).toBe('overtaken');
    expect(await harness.row('cards')).toMatchObject({
      state: 'none',
      access_token_sealed: null,
      refresh_token_sealed: null,
      due_at: null,
    });
    expect((await secretsOf(harness.dependencies, cards)).secrets).toEqual({});
    expect(await harness.renew('cards')).toBe('credential_removed');
    const reader = createAccessTokenReader({ ...harness.dependencies, isSubscribed: () => false });
    await expect(reader.read('cards', shop)).rejects.toMatchObject({
      code: 'credential_not_found',
    });
    const content = { appKey: 'app-1', appSecret };
    expect(await addCredential(harness.dependencies, cards, 'sandbox', content, testActor)).toBe(
      'restored',
    );
    expect(await harness.renew('cards')).toBe('issued');
  });

  test('is registered by its first job when the process died before that', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const dying: typeof harness.dependencies.door.apply = async (request) => {
      if (request.event === 'access_token.registered') throw new Error('killed');
      return await harness.dependencies.door.apply(request);
    };
    await expect(
      storeCredential(
        { ...harness.dependencies, door: { ...harness.dependencies.door, apply: dying } },
        { ...cards, environment: 'sandbox', secrets: { appKey: 'app-1', appSecret } },
        testActor,
      ),
    ).rejects.toThrow('killed');
    const outbox = await harness.dependencies.db.selectFrom('outbox').selectAll().execute();
    expect(outbox).toMatchObject([
      { job_name: 'access-token.refresh', payload: { v: 1, credential: 'cards' } },
    ]);
    expect(await harness.renew('cards')).toBe('issued');
  });
});
