import { isDeepStrictEqual } from 'node:util';
import { afterEach, expect, onTestFinished, vi } from 'vitest';
import type { TransitionDoor } from '../../../src/db/transition-door.ts';
import {
  openDirectTokenClient,
  UnwrittenHandOutsError,
} from '../../../src/direct-client/direct-client.ts';
import { createHandOutLog, type HandOut } from '../../../src/access-token/read/read-audit.ts';
import { eventually } from '../../support/eventually.ts';
import { test as withoutTrail } from '../../support/harness/fixtures.ts';
import { insertCredentials } from '../../support/harness/many-credentials.ts';
import { openPostgresProxy } from '../../support/services/postgres-proxy.ts';
import { test, type TokenHarness } from '../../support/harness/token-harness.ts';
import { shop } from '../../support/harness/token-reader.ts';

const till = { type: 'backend', id: 'till' } as const;

afterEach(() => {
  vi.useRealTimers();
});

/** What the audit trail says of hand-outs: who, and how many. */
async function auditedHandOuts({ dependencies: { db } }: TokenHarness): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('audit_event')
    .select(['actor_id', 'detail'])
    .where('event', '=', 'access_token.handed_out')
    .orderBy('id')
    .execute();
  return rows.map(({ actor_id: id, detail }) => `${id} ${String(detail['reads'])}`);
}

async function untilAudited(harness: TokenHarness, wanted: readonly string[]): Promise<void> {
  await eventually(`written: ${wanted.join()}`, async () =>
    isDeepStrictEqual(await auditedHandOuts(harness), wanted),
  );
}

/** The door, of which every change waits while it hangs. */
function hangingDoor(door: TransitionDoor): {
  readonly door: TransitionDoor;
  readonly hang: () => void;
  readonly release: () => void;
} {
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  return {
    door: {
      ...door,
      async apply(request) {
        await gate.promise;
        return await door.apply(request);
      },
    },
    hang() {
      gate = Promise.withResolvers<void>();
    },
    release: () => gate.resolve(),
  };
}

test('hand-outs that could not be written are tried again each minute, those of one token hold up no other, and what is lost is told', async ({
  openTokenHarness,
}) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
  await harness.add('cards', 'app-1');
  await harness.add('others', 'app-2');
  const [cards, others] = [(await harness.row('cards')).id, (await harness.row('others')).id];
  const told: { handOuts: readonly HandOut[]; isLost: boolean }[] = [];
  const fault = { isOn: false, hang: Promise.resolve() };
  const { door } = harness.dependencies;
  const log = createHandOutLog({
    ...harness.dependencies,
    door: {
      ...door,
      async apply(request) {
        if (request.row.id === cards) await fault.hang;
        if (fault.isOn) throw new Error('away');
        return await door.apply(request);
      },
    },
    onUnwritten: (handOuts, _error, isLost) => told.push({ handOuts, isLost }),
  });
  const audited = async (...wanted: string[]): Promise<void> => await untilAudited(harness, wanted);
  // A token whose row hangs holds up no other.
  const hung = Promise.withResolvers<void>();
  fault.hang = hung.promise;
  log.count(cards, 0, shop);
  log.count(others, 0, shop);
  await audited('shop 1');
  hung.resolve();
  await audited('shop 1', 'shop 1');

  fault.isOn = true;
  log.count(cards, 0, till);
  await eventually('told of', () => told.length === 1);
  expect(told).toMatchObject([{ handOuts: [{ rowId: cards, actor: till }], isLost: false }]);
  fault.isOn = false;
  for (let reads = 0; reads < 2; reads += 1) log.count(cards, 0, till);
  vi.advanceTimersByTime(60_000);
  await audited('shop 1', 'shop 1', 'till 3');

  fault.isOn = true;
  for (let reads = 0; reads < 5; reads += 1) log.count(cards, 0, till);
  log.count(others, 0, till);
  vi.useRealTimers();
  await log.close();
  expect(told.at(-1)?.isLost).toBe(true);
  expect(told.at(-1)?.handOuts.map(({ rowId, reads }) => [rowId, reads])).toEqual(
    expect.arrayContaining([
      [cards, 5],
      [others, 1],
    ]),
  );
});

test('what waits for the same token, generation and backend is added up', async ({
  openTokenHarness,
}) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const { id } = await harness.row('cards');
  const { door, hang, release } = hangingDoor(harness.dependencies.door);
  const log = createHandOutLog({ ...harness.dependencies, door });
  hang();
  log.count(id, 0, shop);
  for (let minute = 1; minute <= 3; minute += 1) {
    log.count(id, 0, till);
    log.count(id, minute, till);
    vi.advanceTimersByTime(60_000);
  }
  release();
  await untilAudited(harness, ['shop 1', 'till 3', 'till 1', 'till 1', 'till 1']);
  await log.close();
});

test('what is being written when the process ends, and is not, is told of as lost', async ({
  openTokenHarness,
}) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const { id } = await harness.row('cards');
  const { door, hang, release } = hangingDoor(harness.dependencies.door);
  const told: unknown[] = [];
  const log = createHandOutLog({
    ...harness.dependencies,
    door,
    onUnwritten: (handOuts, _error, isLost) =>
      told.push([isLost, handOuts.map(({ actor, reads }) => `${actor.id} ${reads}`)]),
  });
  hang();
  log.count(id, 0, shop);
  log.count(id, 0, till);
  const closing = log.close();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(told).toEqual([[true, ['shop 1', 'till 1']]]);
  release();
  await closing;
  vi.useRealTimers();
  await untilAudited(harness, ['shop 1', 'till 1']);
});

test('whoever is told and throws ends neither the process nor the hand-outs of a token, and is told of what is lost', async ({
  openTokenHarness,
}) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const { id } = await harness.row('cards');
  const unhandled = vi.fn<(reason: unknown) => void>();
  process.on('unhandledRejection', unhandled);
  onTestFinished(() => void process.off('unhandledRejection', unhandled));
  const { door } = harness.dependencies;
  const fault = { isOn: true };
  const told: unknown[] = [];
  const log = createHandOutLog({
    ...harness.dependencies,
    door: {
      ...door,
      async apply(request) {
        if (fault.isOn) throw new Error('away');
        return await door.apply(request);
      },
    },
    onUnwritten(handOuts, _error, isLost) {
      told.push([isLost, handOuts.map(({ actor, reads }) => `${actor.id} ${reads}`)]);
      throw new Error('deaf');
    },
  });
  log.count(id, 0, shop);
  await eventually('told', () => told.length === 1);
  fault.isOn = false;
  log.count(id, 0, till);
  await untilAudited(harness, ['till 1']);
  vi.advanceTimersByTime(60_000);
  await untilAudited(harness, ['till 1', 'shop 1']);

  fault.isOn = true;
  log.count(id, 0, till);
  await log.close();
  expect(told).toEqual([
    [false, ['shop 1']],
    [true, ['till 1']],
  ]);
  expect(unhandled).not.toHaveBeenCalled();
});

test('beyond the backends that are remembered for their tokens, hand-outs are counted and written within the minute', async ({
  openTokenHarness,
}) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const { id } = await harness.row('cards');
  const log = createHandOutLog({ ...harness.dependencies, firstsMax: 2 });
  const phone = { type: 'backend', id: 'phone' } as const;
  for (let round = 0; round < 3; round += 1) {
    for (const actor of [shop, till, phone]) log.count(id, 1, actor);
  }
  // For those that are remembered a new generation is written at once, whatever waits for the minute.
  log.count(id, 2, till);
  const atOnce = ['shop 1', 'till 1', 'till 1'];
  await untilAudited(harness, atOnce);
  vi.advanceTimersByTime(60_000);
  await untilAudited(harness, [...atOnce, 'phone 3', 'shop 2', 'till 2']);
  await log.close();
});

test('a backend is remembered once for a token, whatever the number of generations', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const { id } = await harness.row('cards');
  const log = createHandOutLog({ ...harness.dependencies, firstsMax: 2 });
  for (let generation = 1; generation <= 3; generation += 1) log.count(id, generation, shop);
  // A read that was on its way while the token was renewed is no first one.
  log.count(id, 1, shop);
  log.count(id, 3, till);
  await untilAudited(harness, ['shop 1', 'shop 1', 'shop 1', 'till 1']);
  await log.close();
});

withoutTrail(
  'hand-outs of a hundred tokens are at the door together, and no more',
  async ({ databaseUrl, database, door }) => {
    await insertCredentials(databaseUrl, { to: 120, dueAt: 'now()' });
    const gate = Promise.withResolvers<void>();
    const atTheDoor: string[] = [];
    const log = createHandOutLog({
      db: database.db,
      door: {
        ...door,
        async apply({ row }) {
          atTheDoor.push(row.id);
          await gate.promise;
          return { isApplied: true, version: row.version + 1, state: 'fresh' };
        },
      },
    });
    const rows = await database.db.selectFrom('access_token').select('id').execute();
    for (const { id } of rows) log.count(id, 1, shop);
    await eventually('a hundred at the door', () => atTheDoor.length >= 100);
    expect(atTheDoor).toHaveLength(100);
    gate.resolve();
    await log.close();
    expect(new Set(atTheDoor).size).toBe(120);
  },
);

test('a hand-out steps back, further each time, from whoever changes the row at the same moment', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const { id } = await harness.row('cards');
  const { door } = harness.dependencies;
  const pauses: number[] = [];
  const log = createHandOutLog({
    ...harness.dependencies,
    door: {
      ...door,
      apply: async (request) =>
        pauses.length < 7 ? { isApplied: false } : await door.apply(request),
    },
    pause: async (ms) => await Promise.resolve(pauses.push(ms)),
  });
  log.count(id, 0, shop);
  await untilAudited(harness, ['shop 1']);
  const longest = [5, 10, 20, 40, 80, 100, 100];
  expect(pauses).toHaveLength(longest.length);
  for (const [index, ms] of longest.entries()) {
    expect(pauses[index]).toBeGreaterThanOrEqual(ms / 2);
    expect(pauses[index]).toBeLessThanOrEqual(ms);
  }
  await log.close();
});

test('a direct client tells who got what when it can not write it down', async ({
  openTokenHarness,
  databaseUrl,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const proxy = await openPostgresProxy(databaseUrl);
  const faults: unknown[] = [];
  const client = await openDirectTokenClient({
    databaseUrl: proxy.url,
    encryptionKeys: harness.env['ENCRYPTION_KEYS'] ?? '',
    name: 'till',
    onFault: (fault) => faults.push(fault),
  });
  await client.getAccessToken('cards');
  await untilAudited(harness, ['till 1']);
  await proxy.close();
  await client.getAccessToken('cards');
  await client.getAccessToken('cards');
  await client.close();
  const { id: rowId } = await harness.row('cards');
  const told = faults.filter((fault) => fault instanceof UnwrittenHandOutsError);
  expect(told).toMatchObject([
    { isLost: true, handOuts: [{ rowId, generation: 1, reads: 2, backend: 'till' }] },
  ]);
  expect(told[0]?.cause).toBeInstanceOf(Error);
});
