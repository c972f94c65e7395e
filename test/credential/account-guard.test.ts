import { describe, expect } from 'vitest';
import { countOpenTokenizations, findCredential } from '../../src/db/credentials.ts';
import { createTransitionDoor } from '../../src/db/transition-door.ts';
import { isFinal, tokenizationStates } from '../../src/domain/tokenization.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { addCredential } from '../../src/credential/add.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { storeEnvironmentCredentials } from '../../src/credential/environment.ts';
import { Secret } from '../../src/security/secret.ts';
import {
  addCredential as addBare,
  addTokenization,
  requestPayload,
  testActor,
} from '../support/builders.ts';
import { onServer } from '../support/services/database.ts';
import type { JobHarness } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';
import { overtakenDoor } from '../support/harness/overtaken-door.ts';
import { eventually } from '../support/eventually.ts';
import { test as withoutHarness } from '../support/harness/fixtures.ts';

const key = { name: 'default', family: 'accept_payments' } as const;
const audit = { actor: testActor };

interface Place {
  readonly account?: string;
  readonly terminal?: string;
  readonly environment?: 'sandbox' | 'production';
  readonly secureCode?: string;
}

/** A start of a process whose environment names the account of the harness with these changes. */
async function start({ dependencies, account }: JobHarness, place: Place): Promise<void> {
  const acceptPayments = {
    account: place.account ?? account.account,
    terminal: place.terminal ?? account.terminal,
    secureCode: place.secureCode === undefined ? account.secureCode : new Secret(place.secureCode),
  };
  await storeEnvironmentCredentials(
    dependencies,
    { acceptPayments },
    place.environment ?? 'sandbox',
  );
}

const accept = async ({ dependencies }: Pick<JobHarness, 'dependencies'>) =>
  await acceptTokenization(dependencies, requestPayload(), { audit });

function overtaken(harness: JobHarness, event: string, first: () => Promise<unknown>): JobHarness {
  const door = overtakenDoor(harness.dependencies.door, event, first);
  return { ...harness, dependencies: { ...harness.dependencies, door } };
}

/** The stored credential `default`. */
const stored = async ({ dependencies: { db } }: JobHarness) =>
  await findCredential(db, key.name, key.family);

const countRows = async ({ dependencies: { db } }: JobHarness): Promise<number> =>
  (await db.selectFrom('tokenization').select('id').execute()).length;

describe('a credential with unfinished tokenizations', () => {
  test('keeps its account, terminal and environment, in a start and in a restore', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { dependencies } = harness;
    const before = await stored(harness);
    const { id } = await harness.open('');
    const isRefused = async (change: Promise<unknown>, ...paths: string[]): Promise<void> =>
      await expect(change).rejects.toMatchObject({
        code: 'state_forbids',
        paths,
        message: expect.stringContaining('credentials add'),
      });
    const allAreRefused = async (): Promise<void> => {
      await isRefused(start(harness, { account: '222222' }), 'account');
      await isRefused(start(harness, { terminal: '22222222' }), 'terminal');
      await isRefused(start(harness, { environment: 'production' }), 'environment');
      await isRefused(
        start(harness, { account: '222222', environment: 'production' }),
        'environment',
        'account',
      );
      expect(await stored(harness)).toEqual(before);
    };
    await allAreRefused();
    // An open tokenization is enough, and so is its active token.
    await expect(removeCredential(dependencies, key, testActor)).rejects.toMatchObject({
      code: 'state_forbids',
      message: expect.stringContaining('1 tokenizations'),
    });
    await harness.decide(id, 'approve');
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('active');
    await allAreRefused();

    await removeCredential(dependencies, key, testActor);
    const { account, terminal } = harness.account;
    const content = { account, terminal, secureCode: harness.account.secureCode.reveal() };
    const add = async (change: Partial<typeof content>, environment: 'sandbox' | 'production') =>
      await addCredential(dependencies, key, environment, { ...content, ...change }, testActor);
    await isRefused(add({ account: '222222' }, 'sandbox'), 'account');
    await isRefused(add({}, 'production'), 'environment');
    expect(await add({}, 'sandbox')).toBe('restored');

    expect(await harness.run('token.disable', { tokenizationId: id })).toBe('disabled');
    await start(harness, { account: '222222', environment: 'production' });
    expect(await stored(harness)).toMatchObject({ account: '222222', environment: 'production' });
  });

  test('accepts another secure code at any time', async ({ openJobHarness }) => {
    const harness = await openJobHarness();
    await harness.open('');
    expect(await rotateCredential(harness.dependencies, key, { publicKey: 'p' }, testActor)).toBe(
      'rotated',
    );
    await start(harness, { secureCode: 'code-2' });
  });

  withoutHarness.for(tokenizationStates)(
    'is guarded by the database in the same states as by the worker: %s',
    async (state, { database: { db }, door, databaseUrl }) => {
      for (const reconcileAt of ['null', 'now()']) {
        const id = await addBare(door);
        await addTokenization(door, id);
        await onServer(databaseUrl, async (client) => {
          await client.query(
            `update token_lifecycle.tokenization set state = $1, reconcile_at = ${reconcileAt} where credential_id = $2`,
            [state, id],
          );
        });
        const isAsked = reconcileAt !== 'null' && (state === 'failed' || state === 'expired');
        const mayMove = isFinal(state) && state !== 'active' && !isAsked;
        for (const patch of [{ account: '1' }, { terminal: '1' }, { environment: 'production' }]) {
          const row = await findBare(id);
          const moved = {
            entity: 'credential',
            row,
            event: 'credential.rotated',
            patch,
            audit,
          } as const;
          expect((await door.apply(moved)).isApplied).toBe(mayMove);
        }
        const row = await findBare(id);
        const removed = { entity: 'credential', row, event: 'credential.removed', audit } as const;
        const isOwed = (await countOpenTokenizations(db, id)) > 0;
        expect((await door.apply(removed)).isApplied).toBe(!isOwed);
        expect(isOwed).toBe(!isFinal(state));
      }
      async function findBare(id: string) {
        return await db
          .selectFrom('credential')
          .select(['id', 'version', 'state'])
          .where('id', '=', id)
          .executeTakeFirstOrThrow();
      }
    },
  );
});

describe('a concurrent tokenization and change of its credential', () => {
  /**
   * Runs `first` in a transaction that commits once `second` waits for it; resolves as `second`.
   */
  async function beside<Result>(
    { dependencies }: JobHarness,
    databaseUrl: string,
    first: (within: JobHarness['dependencies']) => Promise<unknown>,
    second: () => Promise<Result>,
  ): Promise<Result> {
    const { db } = dependencies;
    const isWaitedFor = async (): Promise<boolean> => {
      let waiting: number | null = 0;
      await onServer(databaseUrl, async (client) => {
        const { rowCount } = await client.query(`select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`);
        waiting = rowCount;
      });
      return waiting === 1;
    };
    let waiting: Promise<Result> | undefined;
    await db.transaction().execute(async (open) => {
      await first({ ...dependencies, db: open, door: createTransitionDoor(open) });
      waiting = second();
      // Its rejection is asserted below.
      waiting.catch(() => undefined);
      await eventually('the second waits for the first', isWaitedFor);
    });
    if (waiting === undefined) throw new Error('nothing was begun');
    return await waiting;
  }

  test('a change is refused when a tokenization begins after its check', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const moving = overtaken(harness, 'credential.rotated', async () => await accept(harness));
    await expect(start(moving, { account: '222222' })).rejects.toMatchObject({
      code: 'state_forbids',
      paths: ['account'],
    });
    expect(await stored(harness)).toMatchObject({ account: harness.account.account });
  });

  test('a removal is refused when a tokenization begins after its check', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const removing = overtaken(harness, 'credential.removed', async () => await accept(harness));
    await expect(removeCredential(removing.dependencies, key, testActor)).rejects.toMatchObject({
      code: 'state_forbids',
    });
    expect(await stored(harness)).toMatchObject({ state: 'active' });
  });

  test('a removal waits for a tokenization that is not committed yet', async ({
    openJobHarness,
    databaseUrl,
  }) => {
    const harness = await openJobHarness();
    const removing = beside(
      harness,
      databaseUrl,
      async (within) => await accept({ dependencies: within }),
      async () => await removeCredential(harness.dependencies, key, testActor),
    );
    await expect(removing).rejects.toMatchObject({ code: 'state_forbids' });
    expect(await stored(harness)).toMatchObject({ state: 'active' });
  });

  test('any other statement that removes a credential waits for it too, whatever columns it sets', async ({
    openJobHarness,
    databaseUrl,
  }) => {
    const harness = await openJobHarness();
    const removed = harness.dependencies.db.updateTable('credential').set({ state: 'removed' });
    const { numUpdatedRows } = await beside(
      harness,
      databaseUrl,
      async (within) => await accept({ dependencies: within }),
      async () => await removed.executeTakeFirst(),
    );
    expect(numUpdatedRows).toBe(0n);
  });

  test('no tokenization begins with a credential that is being removed', async ({
    openJobHarness,
    databaseUrl,
  }) => {
    const harness = await openJobHarness();
    const accepting = beside(
      harness,
      databaseUrl,
      async (within) => await removeCredential(within, key, testActor),
      async () => await accept(harness),
    );
    await expect(accepting).rejects.toMatchObject({ code: 'credential_not_found' });
    expect(await countRows(harness)).toBe(0);
  });

  test('a tokenization begins with the account that the change commits', async ({
    openJobHarness,
    databaseUrl,
  }) => {
    const harness = await openJobHarness();
    const { tokenization } = await beside(
      harness,
      databaseUrl,
      async (within) => await start({ ...harness, dependencies: within }, { account: '222222' }),
      async () => await accept(harness),
    );
    expect(tokenization).toMatchObject({ account: '222222' });
  });
});

test('a tokenization is completed even if an older release of the worker removed its credential', async ({
  openJobHarness,
  databaseUrl,
}) => {
  const harness = await openJobHarness();
  const { door } = harness.dependencies;
  const begun = await harness.open('', false);
  const shown = await harness.open('');
  await setGuard(databaseUrl, 'disable');
  const row = await stored(harness);
  if (row === undefined) throw new Error('the harness has a credential');
  await door.apply({ entity: 'credential', row, event: 'credential.removed', audit });
  await setGuard(databaseUrl, 'enable');
  expect(await harness.run('tokenization.request', { tokenizationId: begun.id })).toBe(
    'awaiting_customer',
  );
  await harness.decide(begun.id, 'approve');
  await harness.decide(shown.id, 'decline');
  for (const { id } of [begun, shown]) await harness.makeDue(id);
  expect(await harness.confirm(begun.id)).toBe('active');
  expect(await harness.confirm(shown.id)).toBe('failed');
  expect(await harness.run('token.disable', { tokenizationId: begun.id })).toBe('disabled');
});

async function setGuard(databaseUrl: string, as: 'enable' | 'disable'): Promise<void> {
  await onServer(databaseUrl, async (client) => {
    await client.query(`alter table token_lifecycle.credential ${as} trigger credential_guarded`);
  });
}
