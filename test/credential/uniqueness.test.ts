import { describe, expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import type { CredentialEvent } from '../../src/domain/credential.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { addCredential } from '../../src/credential/add.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { storeEnvironmentCredentials } from '../../src/credential/environment.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { onServer } from '../support/services/database.ts';
import { eventually } from '../support/eventually.ts';
import { test as withoutHarness } from '../support/harness/fixtures.ts';
import { overtakenDoor } from '../support/harness/overtaken-door.ts';
import { insertCredentials } from '../support/harness/many-credentials.ts';
import { secretsOf } from '../support/secrets-of.ts';
import { appSecret, test, type TokenHarness } from '../support/harness/token-harness.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };
const till = { name: 'till', family: 'accept_payments' } as const;
const cards = { name: 'cards', family: 'opcard' } as const;
const twin = { name: 'twin', family: 'opcard' } as const;
const app = { appKey: 'app-1', appSecret };
const funds = { name: 'funds', family: 'opccount' } as const;
const va = { number: 'VA1', vaCode: '1', privateKey: 'k' };

type Dependencies = TokenHarness['dependencies'];
type Key = Parameters<typeof addCredential>[1];

const add = async (dependencies: Dependencies, key: Key, content: unknown) =>
  await addCredential(dependencies, key, 'sandbox', content, testActor);

function overtaken(
  dependencies: Dependencies,
  event: CredentialEvent,
  first: () => Promise<unknown>,
): Dependencies {
  return { ...dependencies, door: overtakenDoor(dependencies.door, event, first) };
}

/** Whether a connection waits for a lock of this database. */
async function isLockWaitedFor(databaseUrl: string): Promise<boolean> {
  let waiting: number | null = 0;
  await onServer(databaseUrl, async (client) => {
    const { rowCount } = await client.query(`select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`);
    waiting = rowCount;
  });
  return waiting === 1;
}

const names = async ({ db }: Dependencies): Promise<readonly string[]> =>
  (await db.selectFrom('credential').select('name').execute()).map(({ name }) => name).toSorted();

describe('concurrent writers', () => {
  const others = { ...account, account: '654321' };

  test('are all served when they outnumber the connections of the pool', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const many = Array.from({ length: 30 }, (_, index) => `c${index}`);
    await Promise.all(
      many.map(async (name) => {
        await add(dependencies, { ...cards, name }, { ...app, appKey: name });
      }),
    );
    expect(await names(dependencies)).toEqual(many.toSorted());
  });

  test('cannot both store one account: the second is told which credential holds it', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const late = overtaken(dependencies, 'credential.added', () =>
      add(dependencies, till, account),
    );
    await expect(add(late, { ...till, name: 'other' }, account)).rejects.toMatchObject({
      code: 'credential_conflict',
      paths: ['account', 'terminal'],
    });
    expect(await names(dependencies)).toEqual(['till']);
  });

  test.for(['added', 'restored', 'rotated'] as const)(
    'cannot both store one app key, even under different first encryption keys: %s',
    async (how, { openTokenHarness, databaseUrl }) => {
      const harness = await openTokenHarness();
      const { dependencies } = harness;
      const input = { ...twin, environment: 'sandbox', secrets: app } as const;
      if (how !== 'added') await add(dependencies, twin, { ...app, appKey: 'app-2' });
      if (how === 'restored') await removeCredential(dependencies, twin, testActor);
      const { encryptionKeys } = loadConfig(harness.env);
      const newer = generateEncryptionKey('k2');
      // The pool and the keys of another process.
      const secondPlace = {
        ...dependencies,
        db: dependencies.db.withoutPlugins(),
        keyring: createKeyring([...encryptionKeys, newer]),
      };
      const keyring = createKeyring([newer, ...encryptionKeys]);
      let second: Promise<unknown> | undefined;
      const first = overtaken({ ...dependencies, keyring }, 'credential.added', async () => {
        let isOver = false;
        second = (
          how === 'rotated'
            ? storeCredential(secondPlace, input, testActor)
            : add(secondPlace, twin, app)
        ).finally(() => {
          isOver = true;
        });
        // Its rejection is asserted below.
        second.catch(() => undefined);
        await eventually(
          'the second has ended, or waits for the first',
          async () => isOver || (await isLockWaitedFor(databaseUrl)),
        );
      });
      expect(await add(first, cards, app)).toBe('added');
      await expect(second).rejects.toMatchObject({
        code: 'credential_conflict',
        message: 'The credential "cards" already holds this application.',
      });
    },
  );

  test('cannot both add one name: the second add is refused', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    const late = overtaken(dependencies, 'credential.added', () =>
      add(dependencies, till, account),
    );
    await expect(add(late, till, others)).rejects.toMatchObject({
      code: 'credential_conflict',
      paths: ['name'],
    });
    expect((await secretsOf(dependencies, till)).row.account).toBe(account.account);
  });

  test('a start that stores a name replaces what a concurrent add wrote', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const stores = overtaken(dependencies, 'credential.added', () => add(dependencies, funds, va));
    const secrets = { ...va, vaCode: '2' };
    const input = { ...funds, environment: 'sandbox', secrets } as const;
    expect(await storeCredential(stores, input, testActor)).toBe('rotated');
    expect((await secretsOf(dependencies, funds)).secrets).toEqual(secrets);
  });

  test('cannot both restore a removed name', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    await add(dependencies, till, account);
    await removeCredential(dependencies, till, testActor);
    const late = overtaken(dependencies, 'credential.restored', () =>
      add(dependencies, till, account),
    );
    await expect(add(late, till, { ...account, secureCode: 'lost' })).rejects.toMatchObject({
      code: 'credential_conflict',
      paths: ['name'],
    });
    expect((await secretsOf(dependencies, till)).secrets['secureCode']).toBe('code-1');
  });

  test('cannot both restore one account: the second is told which credential holds it', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const other = { ...till, name: 'other' };
    for (const key of [till, other]) {
      await add(dependencies, key, account);
      await removeCredential(dependencies, key, testActor);
    }
    const late = overtaken(dependencies, 'credential.restored', () =>
      add(dependencies, other, account),
    );
    await expect(add(late, till, account)).rejects.toMatchObject({
      code: 'credential_conflict',
      message: 'The credential "other" already holds this account and terminal.',
    });
    expect((await secretsOf(dependencies, till)).row.state).toBe('removed');
  });
});

describe('an application is recognized', () => {
  /** Rotates the app secret under a new encryption key, and retires the former key. */
  async function afterNewKey(harness: TokenHarness): Promise<Dependencies> {
    const { dependencies } = harness;
    await add(dependencies, cards, app);
    await harness.renew('cards');
    const newer = generateEncryptionKey('k2');
    const { encryptionKeys } = loadConfig(harness.env);
    const both = { ...dependencies, keyring: createKeyring([newer, ...encryptionKeys]) };
    await rotateCredential(both, cards, { appSecret: 'secret-2' }, testActor);
    return { ...dependencies, keyring: createKeyring([newer]) };
  }

  test('after the encryption key of its digest was retired', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    const alone = await afterNewKey(harness);
    await expect(add(alone, twin, app)).rejects.toMatchObject({
      code: 'credential_conflict',
      paths: ['appKey'],
    });
    expect(await add(alone, twin, { ...app, appKey: 'app-2' })).toBe('added');
    // The same holds for a name with another app key, and for a removed name.
    const input = { ...twin, environment: 'sandbox', secrets: app } as const;
    await expect(storeCredential(alone, input, testActor)).rejects.toMatchObject({
      code: 'credential_conflict',
    });
    await removeCredential(alone, twin, testActor);
    await expect(add(alone, twin, app)).rejects.toMatchObject({ code: 'credential_conflict' });
    // In the other environment it is another application.
    expect(await addCredential(alone, twin, 'production', app, testActor)).toBe('restored');
  });

  test('by its own access token after the encryption key was retired: a new secret does not reset the token', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const alone = await afterNewKey(harness);
    const events = await harness.events('cards');
    expect(await rotateCredential(alone, cards, { appSecret: 'secret-3' }, testActor)).toBe(
      'rotated',
    );
    expect(await harness.events('cards')).toEqual(events);
    expect((await harness.row('cards')).access_token_sealed).not.toBeNull();
  });

  test('by a digest without the environment, as older versions stored it', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const { db, keyring } = dependencies;
    await add(dependencies, cards, app);
    const older = keyring.blindIndex('app_key', app.appKey);
    await db.updateTable('credential').set({ app_key_index: older }).execute();
    await expect(add(dependencies, twin, app)).rejects.toMatchObject({
      code: 'credential_conflict',
    });
  });

  withoutHarness(
    'among ten thousand without opening any of them',
    async ({ database: { db }, door, databaseUrl }) => {
      await insertCredentials(databaseUrl, { to: 10_000, dueAt: 'null' });
      let opened = 0;
      const keyring = createKeyring([generateEncryptionKey('k1')]);
      const open: typeof keyring.open = (...sealed) => {
        opened += 1;
        return keyring.open(...sealed);
      };
      const dependencies = { db, door, keyring: { ...keyring, open } };
      await addCredential(dependencies, cards, 'sandbox', app, testActor);
      expect(opened).toBe(0);
    },
  );

  test('by a start too, which is refused and stores nothing', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    await add(dependencies, cards, app);
    await add(dependencies, till, account);
    const start = async (credentials: Parameters<typeof storeEnvironmentCredentials>[1]) =>
      await storeEnvironmentCredentials(dependencies, credentials, 'sandbox');
    const secret = new Secret(appSecret);
    const acceptPayments = { ...account, secureCode: new Secret('code-1') };
    const opcard = (appKey: string) => ({
      opcard: { appKey: new Secret(appKey), appSecret: secret },
    });
    await expect(start(opcard('app-1'))).rejects.toMatchObject({ code: 'credential_conflict' });
    await expect(start({ acceptPayments })).rejects.toMatchObject({ code: 'credential_conflict' });
    // The other families that this start names are not stored either.
    const others = { ...acceptPayments, account: '654321' };
    await expect(start({ ...opcard('app-1'), acceptPayments: others })).rejects.toMatchObject({
      code: 'credential_conflict',
    });
    expect(await names(dependencies)).toEqual(['cards', 'till']);
    await start({ ...opcard('app-2'), acceptPayments: others });
    await expect(start(opcard('app-1'))).rejects.toMatchObject({ code: 'credential_conflict' });
    await expect(start({ acceptPayments })).rejects.toMatchObject({ code: 'credential_conflict' });
  });
});
