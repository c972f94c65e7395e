import { expect, onTestFinished } from 'vitest';
import {
  type AccessTokenReader,
  createAccessTokenReader,
} from '../../../src/access-token/read/reader.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { Secret } from '../../../src/security/secret.ts';
import {
  type RenewalOrder,
  standing,
  startKillableRenewals,
} from '../../support/faults/killable-renewal.ts';
import { holdDueToken, test, type TokenHarness } from '../../support/harness/token-harness.ts';

/** One way through a renewal. */
interface Path {
  readonly name: string;
  /** Brings a credential to where the path begins. */
  readonly prepare: (harness: TokenHarness, credential: string, appKey: string) => Promise<void>;
  /** Whether it begins with a valid token, generation 1. */
  readonly hasToken: boolean;
  readonly gateway?: 'answers 5xx' | 'refuses everything';
  readonly overtaker?: RenewalOrder['overtaker'];
  /** Its result where no worker is killed. */
  readonly result: string;
  /**
   * Every statement and call on the way. The worker is killed on both sides of each; a new one
   * belongs here.
   */
  readonly operations: readonly string[];
}

const begin = ['read credential', 'read access_token', 'acquireOauthPermit', 'read access_token'];
const intent = (call: 'refresh' | 'issue') => [
  'read credential',
  `access_token.${call}_intent`,
  'read access_token',
];
const refresh = [...begin, ...intent('refresh'), 'refreshAccessToken'];
const create = ['acquireOauthPermit', 'read access_token', ...intent('issue'), 'createAccessToken'];

const paths: readonly Path[] = [
  {
    name: 'a token is refreshed',
    hasToken: true,
    prepare: holdDueToken,
    result: 'refreshed',
    operations: [...refresh, 'access_token.refreshed'],
  },
  {
    name: 'a refused refresh is followed by a create',
    hasToken: true,
    async prepare(harness, credential, appKey) {
      await holdDueToken(harness, credential, appKey);
      await spendRefreshToken(harness, credential);
    },
    result: 'issued',
    operations: [...refresh, 'access_token.refresh_rejected', ...create, 'access_token.issued'],
  },
  {
    name: 'the first token is issued',
    hasToken: false,
    prepare: async (harness, credential, appKey) => await harness.add(credential, appKey),
    result: 'issued',
    operations: [...begin, ...intent('issue'), 'createAccessToken', 'access_token.issued'],
  },
  {
    name: 'the first token is issued where not even its row is there',
    hasToken: false,
    prepare: addWithoutRow,
    result: 'issued',
    operations: [
      'read credential',
      'read access_token',
      'read access_token',
      'access_token.registered',
      'read access_token',
      ...begin.slice(2),
      ...intent('issue'),
      'createAccessToken',
      'access_token.issued',
    ],
  },
  {
    name: 'a lease that was lost is taken over',
    hasToken: true,
    async prepare(harness, credential, appKey) {
      await holdDueToken(harness, credential, appKey);
      await dieWhileCalling(harness, credential);
      await harness.makeDue(credential);
    },
    result: 'refreshed',
    operations: [
      ...begin,
      'access_token.lease_lost',
      'read access_token',
      ...intent('refresh'),
      'refreshAccessToken',
      'access_token.refreshed',
    ],
  },
  {
    name: 'a pair comes too late',
    hasToken: true,
    prepare: holdDueToken,
    overtaker: 'renews',
    result: 'overtaken',
    operations: [
      ...refresh,
      'access_token.refreshed',
      'read access_token',
      'read access_token',
      'access_token.late_reply',
    ],
  },
  {
    name: 'a pair comes too late, and the worker that took the lease over has failed',
    hasToken: true,
    prepare: holdDueToken,
    overtaker: 'fails',
    result: 'overtaken',
    operations: [
      ...refresh,
      'access_token.refreshed',
      'read access_token',
      'read access_token',
      'access_token.late_reply',
    ],
  },
  {
    name: 'the outcome is unknown',
    hasToken: true,
    prepare: holdDueToken,
    gateway: 'answers 5xx',
    result: 'outcome_unknown',
    operations: [...refresh, 'access_token.refresh_unknown'],
  },
  {
    name: 'the gateway refuses the credential',
    hasToken: true,
    prepare: holdDueToken,
    gateway: 'refuses everything',
    result: 'suspended',
    operations: [
      ...refresh,
      'access_token.refresh_rejected',
      ...create,
      'access_token.suspended',
      'read credential',
    ],
  },
];

/**
 * As if a reply had been lost: the gateway has rotated the refresh token, and the row holds the old
 * one.
 */
async function spendRefreshToken(harness: TokenHarness, credential: string): Promise<void> {
  await harness.gateway.refreshAccessToken({}, new Secret(await harness.refreshToken(credential)));
}

/** Leaves an intent without a result. */
async function dieWhileCalling(harness: TokenHarness, credential: string): Promise<void> {
  const gateway = {
    ...harness.gateway,
    refreshAccessToken: async () => await Promise.reject(new Error('killed')),
  };
  await expect(harness.renew(credential, { as: { gateway } })).rejects.toThrow('killed');
}

/** Stores the credential; the process is killed before its second commit. */
async function addWithoutRow(harness: TokenHarness, name: string, appKey: string): Promise<void> {
  await expect(
    harness.add(name, appKey, { diesBefore: 'access_token.registered' }),
  ).rejects.toThrow('killed');
}

/**
 * Renews as the next worker does once the leases of the dead one are over, until there is a newer
 * generation.
 */
async function recover(
  harness: TokenHarness,
  credential: string,
  generation: number,
): Promise<void> {
  const runsMax = 3;
  for (let run = 0; run < runsMax; run += 1) {
    const row = await harness.findRow(credential);
    if (row?.state === 'fresh' && row.generation > generation) return;
    if (row !== undefined) await harness.makeDue(credential);
    await harness.renew(credential);
  }
  expect(await harness.row(credential)).toMatchObject({
    state: 'fresh',
    generation: generation + 1,
  });
}

test('a worker that is killed at any point of a renewal leaves the valid token readable, and the next worker renews it', async ({
  openTokenHarness,
}) => {
  const appKeys = Array.from({ length: 500 }, (_, index) => `app-${index}`);
  const harness = await openTokenHarness({ appKeys });
  const failing = await startSandbox({ faults: { errorRate5xx: 1 } });
  const refusing = await startSandbox({ opcardApps: [] });
  const gateways = { 'answers 5xx': failing, 'refuses everything': refusing };
  const killable = await startKillableRenewals(harness.env);
  onTestFinished(async () => {
    await killable.kill();
    await failing.close();
    await refusing.close();
  });
  const orderOf = (path: Path, credential: string): RenewalOrder => ({
    credential,
    ...(path.overtaker !== undefined && { overtaker: path.overtaker }),
    ...(path.gateway !== undefined && { openApiUrl: gateways[path.gateway].openApiUrl }),
  });

  // Each path once to its end: these are all points.
  for (const [index, { prepare }] of paths.entries()) {
    await prepare(harness, `whole-${index}`, `app-${index}`);
  }
  const walks = await killable.renew(paths.map((path, index) => orderOf(path, `whole-${index}`)));
  for (const { credential, result, operations } of walks) {
    const { name, ...path } = paths[Number(credential.slice('whole-'.length))] ?? expect.fail();
    expect({ name, result, operations }).toEqual({
      name,
      result: path.result,
      operations: path.operations,
    });
  }

  // A credential for each point: the process stands still at all of them when it is killed.
  const victims = listVictims(paths.length);
  await runConcurrently(victims, async ({ path, credential, appKey }) => {
    await path.prepare(harness, credential, appKey);
  });
  const stands = await killable.renew(
    victims.map(({ path, point, credential }) => ({
      ...orderOf(path, credential),
      standAt: point,
    })),
  );
  expect(stands.filter(({ result }) => result !== standing)).toEqual([]);
  await killable.kill();

  const reader = createAccessTokenReader({
    ...harness.dependencies,
    isSubscribed: () => false,
    waitMsMax: 0,
  });
  await runConcurrently(victims, async (victim) => {
    try {
      await checkAfterwards(harness, reader, victim);
    } catch (error) {
      throw new Error(victim.place, { cause: error });
    }
  });
  await reader.close();
  await checkLostRotations(harness, victims);
});

/** A credential whose renewal is killed at one point. */
interface Victim {
  readonly path: Path;
  readonly point: number;
  readonly place: string;
  readonly credential: string;
  readonly appKey: string;
}

function listVictims(appKeysTaken: number): readonly Victim[] {
  return paths
    .flatMap((path) =>
      path.operations.flatMap((operation, index) => [
        { path, point: 2 * index, place: `${path.name}: before ${operation}` },
        { path, point: 2 * index + 1, place: `${path.name}: after ${operation}` },
      ]),
    )
    .map((victim, index) => ({
      ...victim,
      credential: `victim-${index}`,
      appKey: `app-${appKeysTaken + index}`,
    }));
}

async function checkAfterwards(
  harness: TokenHarness,
  reader: AccessTokenReader,
  { path, credential }: Victim,
): Promise<void> {
  const row = await harness.findRow(credential);
  const generation = path.hasToken ? 1 : 0;
  if (path.hasToken) {
    const { accessToken } = await reader.read(credential, { type: 'backend', id: 'shop' });
    expect(await harness.isGood(accessToken.reveal())).toBe(true);
    expect(row?.generation).toBeGreaterThanOrEqual(generation);
  }
  await recover(harness, credential, generation);
  expect(await harness.isGood((await harness.accessToken(credential)) ?? '')).toBe(true);
}

/**
 * The gateway has rotated the refresh token and its reply was lost with the process: a create
 * follows.
 */
async function checkLostRotations(
  harness: TokenHarness,
  victims: readonly Victim[],
): Promise<void> {
  const places = ['after refreshAccessToken', 'before access_token.refreshed'];
  const lost = victims.filter(
    ({ path, place }) => path === paths[0] && places.some((end) => place.endsWith(end)),
  );
  expect(lost).toHaveLength(places.length);
  for (const { credential } of lost) {
    const events = await harness.events(credential);
    expect(events.slice(3)).toEqual([
      'refresh_intent',
      'lease_lost',
      'refresh_intent',
      'refresh_rejected',
      'issue_intent',
      'issued',
    ]);
  }
}

const concurrency = 6;

/** Runs `work` for each item, some at a time. */
async function runConcurrently<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
