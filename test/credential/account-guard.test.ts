import { describe, expect } from 'vitest';
import { countOpenTokenizations, findCredential } from '../../src/db/credentials.ts';
import { createTransitionDoor, type TransitionDoor } from '../../src/db/transition-door.ts';
import { isFinal, tokenizationStates } from '../../src/domain/tokenization.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { addCredential, rotateCredential } from '../../src/credential/rotate.ts';
import { storeConfiguredCredentials } from '../../src/credential/sync-environment.ts';
import { Secret } from '../../src/security/secret.ts';
import {
  addCredential as addBare,
  addTokenization,
  requestPayload,
  testActor,
} from '../support/builders.ts';
import { onServer } from '../support/services/database.ts';
import type { Desk } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';
import { eventually } from '../support/eventually.ts';
import { test as withoutDesk } from '../support/harness/fixtures.ts';

const key = { name: 'default', family: 'accept_payments' } as const;
const audit = { actor: testActor };

interface Place {
  readonly account?: string;
  readonly terminal?: string;
  readonly environment?: 'sandbox' | 'production';
  readonly secureCode?: string;
}

/** A start of a process whose environment says this of the desk's account. */
async function start({ dependencies, account }: Desk, place: Place): Promise<void> {
  const acceptPayments = {
    account: place.account ?? account.account,
    terminal: place.terminal ?? account.terminal,
    secureCode: place.secureCode === undefined ? account.secureCode : new Secret(place.secureCode),
  };
  await storeConfiguredCredentials(
    dependencies,
    { acceptPayments },
    place.environment ?? 'sandbox',
  );
}

const accept = async ({ dependencies }: Pick<Desk, 'dependencies'>) =>
  await acceptTokenization(dependencies, requestPayload(), { audit });

/** The desk, whose first such change is overtaken by something else. */
function overtaken(desk: Desk, event: string, first: () => Promise<unknown>): Desk {
  let isOver = false;
  const apply: TransitionDoor['apply'] = async (request) => {
    if (request.event === event && !isOver) {
      isOver = true;
      await first();
    }
    return await desk.dependencies.door.apply(request);
  };
  const { door } = desk.dependencies;
  return { ...desk, dependencies: { ...desk.dependencies, door: { ...door, apply } } };
}

/** What is stored under the name `default`. */
const stored = async ({ dependencies: { db } }: Desk) =>
  await findCredential(db, key.name, key.family);

const countRows = async ({ dependencies: { db } }: Desk): Promise<number> =>
  (await db.selectFrom('tokenization').select('id').execute()).length;

describe('a credential whose tokenizations are not over', () => {
  test('is refused another account, terminal or environment, by a start and over a removed name', async ({
    openDesk,
  }) => {
    const desk = await openDesk();
    const { dependencies } = desk;
    const before = await stored(desk);
    const { id } = await desk.open('');
    const isRefused = async (change: Promise<unknown>, ...paths: string[]): Promise<void> =>
      await expect(change).rejects.toMatchObject({
        code: 'state_forbids',
        paths,
        message: expect.stringContaining('under another name'),
      });
    const allAreRefused = async (): Promise<void> => {
      await isRefused(start(desk, { account: '222222' }), 'account');
      await isRefused(start(desk, { terminal: '22222222' }), 'terminal');
      await isRefused(start(desk, { environment: 'production' }), 'environment');
      await isRefused(
        start(desk, { account: '222222', environment: 'production' }),
        'environment',
        'account',
      );
      expect(await stored(desk)).toEqual(before);
    };
    await allAreRefused();
    // One is enough, and the token that comes of it keeps it too.
    await expect(removeCredential(dependencies, key, testActor)).rejects.toMatchObject({
      code: 'state_forbids',
      message: expect.stringContaining('1 tokenizations'),
    });
    await desk.decide(id, 'approve');
    await desk.makeDue(id);
    expect(await desk.confirm(id)).toBe('active');
    await allAreRefused();

    await removeCredential(dependencies, key, testActor);
    const { account, terminal } = desk.account;
    const content = { account, terminal, secureCode: desk.account.secureCode.reveal() };
    const add = async (change: Partial<typeof content>, environment: 'sandbox' | 'production') =>
      await addCredential(dependencies, key, environment, { ...content, ...change }, testActor);
    await isRefused(add({ account: '222222' }, 'sandbox'), 'account');
    await isRefused(add({}, 'production'), 'environment');
    expect(await add({}, 'sandbox')).toBe('restored');

    expect(await desk.run('token.disable', { tokenizationId: id })).toBe('disabled');
    await start(desk, { account: '222222', environment: 'production' });
    expect(await stored(desk)).toMatchObject({ account: '222222', environment: 'production' });
  });

  test('takes another secure code at any time', async ({ openDesk }) => {
    const desk = await openDesk();
    await desk.open('');
    await start(desk, { secureCode: 'code-2' });
    expect(await rotateCredential(desk.dependencies, key, { publicKey: 'p' }, testActor)).toBe(
      'rotated',
    );
  });

  withoutDesk.for(tokenizationStates)(
    'is guarded by the database by the same states as by the worker: %s',
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

describe('a tokenization and a change of its credential at the same moment', () => {
  /** Does something in a transaction that is committed when somebody waits for it, and gives what that one comes to. */
  async function beside<Result>(
    { dependencies }: Desk,
    databaseUrl: string,
    first: (within: Desk['dependencies']) => Promise<unknown>,
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
      // What it comes to is told below.
      waiting.catch(() => undefined);
      await eventually('the second waits for the first', isWaitedFor);
    });
    if (waiting === undefined) throw new Error('nothing was begun');
    return await waiting;
  }

  test('the change gives way to what was begun after it looked', async ({ openDesk }) => {
    const desk = await openDesk();
    const moving = overtaken(desk, 'credential.rotated', async () => await accept(desk));
    await expect(start(moving, { account: '222222' })).rejects.toMatchObject({
      code: 'state_forbids',
      paths: ['account'],
    });
    expect(await stored(desk)).toMatchObject({ account: desk.account.account });
  });

  test('removing gives way to what was begun after it looked', async ({ openDesk }) => {
    const desk = await openDesk();
    const removing = overtaken(desk, 'credential.removed', async () => await accept(desk));
    await expect(removeCredential(removing.dependencies, key, testActor)).rejects.toMatchObject({
      code: 'state_forbids',
    });
    expect(await stored(desk)).toMatchObject({ state: 'active' });
  });

  test('removing waits for what was begun and is not committed yet', async ({
    openDesk,
    databaseUrl,
  }) => {
    const desk = await openDesk();
    const removing = beside(
      desk,
      databaseUrl,
      async (within) => await accept({ dependencies: within }),
      async () => await removeCredential(desk.dependencies, key, testActor),
    );
    await expect(removing).rejects.toMatchObject({ code: 'state_forbids' });
    expect(await stored(desk)).toMatchObject({ state: 'active' });
  });

  test('so does any statement, whichever columns it names', async ({ openDesk, databaseUrl }) => {
    const desk = await openDesk();
    const removed = desk.dependencies.db.updateTable('credential').set({ state: 'removed' });
    const { numUpdatedRows } = await beside(
      desk,
      databaseUrl,
      async (within) => await accept({ dependencies: within }),
      async () => await removed.executeTakeFirst(),
    );
    expect(numUpdatedRows).toBe(0n);
  });

  test('none is begun with a credential that is being removed', async ({
    openDesk,
    databaseUrl,
  }) => {
    const desk = await openDesk();
    const accepting = beside(
      desk,
      databaseUrl,
      async (within) => await removeCredential(within, key, testActor),
      async () => await accept(desk),
    );
    await expect(accepting).rejects.toMatchObject({ code: 'credential_not_found' });
    expect(await countRows(desk)).toBe(0);
  });

  test('one is begun with the account that the credential has by then', async ({
    openDesk,
    databaseUrl,
  }) => {
    const desk = await openDesk();
    const { tokenization } = await beside(
      desk,
      databaseUrl,
      async (within) => await start({ ...desk, dependencies: within }, { account: '222222' }),
      async () => await accept(desk),
    );
    expect(tokenization).toMatchObject({ account: '222222' });
  });
});

test('a tokenization that an older version let slip is driven to its end although its credential was removed', async ({
  openDesk,
  databaseUrl,
}) => {
  const desk = await openDesk();
  const { door } = desk.dependencies;
  const begun = await desk.open('', false);
  const shown = await desk.open('');
  await setGuard(databaseUrl, 'disable');
  const row = await stored(desk);
  if (row === undefined) throw new Error('the desk has a credential');
  await door.apply({ entity: 'credential', row, event: 'credential.removed', audit });
  await setGuard(databaseUrl, 'enable');
  expect(await desk.run('tokenization.request', { tokenizationId: begun.id })).toBe(
    'awaiting_customer',
  );
  await desk.decide(begun.id, 'approve');
  await desk.decide(shown.id, 'decline');
  for (const { id } of [begun, shown]) await desk.makeDue(id);
  expect(await desk.confirm(begun.id)).toBe('active');
  expect(await desk.confirm(shown.id)).toBe('failed');
  expect(await desk.run('token.disable', { tokenizationId: begun.id })).toBe('disabled');
});

async function setGuard(databaseUrl: string, as: 'enable' | 'disable'): Promise<void> {
  await onServer(databaseUrl, async (client) => {
    await client.query(`alter table token_lifecycle.credential ${as} trigger credential_guarded`);
  });
}
