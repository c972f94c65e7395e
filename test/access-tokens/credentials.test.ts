import { describe, expect } from 'vitest';
import { findAccessToken } from '../../src/db/access-tokens.ts';
import { findCredential } from '../../src/db/credentials.ts';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { openAccount, openSecrets } from '../../src/jobs/gateway-accounts.ts';
import { createAccessTokenReader } from '../../src/jobs/read-access-token.ts';
import { removeCredential } from '../../src/jobs/remove-credential.ts';
import { addCredential, endOverlap, rotateCredential } from '../../src/jobs/rotate-credential.ts';
import { revealOpccount } from '../../src/jobs/reveal-opccount.ts';
import { storeCredential } from '../../src/jobs/store-credential.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { testActor } from '../support/builders.ts';
import { appSecret, test, type TokenDesk } from '../support/token-desk.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };
const till = { name: 'till', family: 'accept_payments' } as const;
const cards = { name: 'cards', family: 'opcard' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

async function secretsOf({ dependencies }: TokenDesk, key: typeof till | typeof cards) {
  const row = await findCredential(dependencies.db, key.name, key.family);
  if (row === undefined) throw new Error('there is no such credential');
  return { row, secrets: openSecrets(dependencies.keyring, row) };
}

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
      const { row } = await secretsOf(desk, till);
      return openAccount(dependencies.keyring, row).secureCodes.map((code) => code.reveal());
    };
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'rotated',
    );
    expect(await codes()).toEqual(['code-2', 'code-1']);
    expect((await secretsOf(desk, till)).secrets['publicKey']).toBe('p');
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'unchanged',
    );
    expect(await endOverlap(dependencies, 'till', testActor)).toBe('rotated');
    expect(await codes()).toEqual(['code-2']);
    expect(await endOverlap(dependencies, 'till', testActor)).toBe('unchanged');
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

describe('the access token of a credential', () => {
  test('that the gateway refused is tried again as soon as its secret is replaced', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk();
    const wrong = { appKey: 'app-1', appSecret: 'wrong' };
    await addCredential(desk.dependencies, cards, 'sandbox', wrong, testActor);
    expect(await desk.renew('cards')).toBe('suspended');
    expect(await desk.renew('cards')).toBe('too_soon');
    await rotateCredential(desk.dependencies, cards, { appSecret }, testActor);
    expect(await desk.renew('cards')).toBe('issued');
  });

  test('is never one of a former application', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk({ appKeys: ['app-1', 'app-2'] });
    await desk.add('cards', 'app-1');
    await desk.renew('cards');
    const former = await desk.accessToken('cards');
    // As if the process had died between the two commits: the credential is new, the token is not.
    const { row } = await secretsOf(desk, cards);
    const before = await findAccessToken(desk.dependencies.db, row.id);
    await desk.add('cards', 'app-2');
    await desk.dependencies.db
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
      ...desk.dependencies,
      isHearing: () => false,
      waitMsMax: 0,
    });
    await expect(reader.read('cards', shop)).rejects.toMatchObject({
      code: 'access_token_unavailable',
    });
    expect(await desk.renew('cards')).toBe('issued');
    expect((await reader.read('cards', shop)).accessToken.reveal()).not.toBe(former);
    expect(desk.sandbox.state().calls['oauth-refresh']).toBe(0);
    await reader.close();
  });

  test('is forgotten when the credential is removed, even one that is on its way', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk({
      wrapGateway: (gateway) => ({
        ...gateway,
        refreshAccessToken: async (...call) => {
          const reply = await gateway.refreshAccessToken(...call);
          await removeCredential(desk.dependencies, cards, testActor);
          return reply;
        },
      }),
    });
    await desk.add('cards', 'app-1');
    await desk.renew('cards');
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('credential_gone');
    expect(await desk.row('cards')).toMatchObject({
      state: 'none',
      access_token_sealed: null,
      refresh_token_sealed: null,
      candidate_sealed: null,
      due_at: null,
    });
    expect((await secretsOf(desk, cards)).secrets).toEqual({});
    expect(await desk.renew('cards')).toBe('credential_removed');
    const reader = createAccessTokenReader({ ...desk.dependencies, isHearing: () => false });
    await expect(reader.read('cards', shop)).rejects.toMatchObject({
      code: 'credential_not_found',
    });
    // The environment does not bring back what an operator removed; the operator does.
    const content = { appKey: 'app-1', appSecret };
    await expect(desk.add('cards', 'app-1')).rejects.toMatchObject({ code: 'state_forbids' });
    expect(await addCredential(desk.dependencies, cards, 'sandbox', content, testActor)).toBe(
      'restored',
    );
    expect(await desk.renew('cards')).toBe('issued');
  });

  test('is registered by its first job where the process died before it could be', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk();
    const dying: typeof desk.dependencies.door.apply = async (request) => {
      if (request.event === 'access_token.registered') throw new Error('killed');
      return await desk.dependencies.door.apply(request);
    };
    await expect(
      storeCredential(
        { ...desk.dependencies, door: { ...desk.dependencies.door, apply: dying } },
        { ...cards, environment: 'sandbox', secrets: { appKey: 'app-1', appSecret } },
        testActor,
      ),
    ).rejects.toThrow('killed');
    const outbox = await desk.dependencies.db.selectFrom('outbox').selectAll().execute();
    expect(outbox).toMatchObject([
      { job_name: 'access-token.refresh', payload: { v: 1, credential: 'cards' } },
    ]);
    expect(await desk.renew('cards')).toBe('issued');
  });
});
