import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { withClient } from '../../src/db/connection/database.ts';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { AppError } from '../../src/domain/errors.ts';
import { createAccessTokenReader } from '../../src/access-token/read/reader.ts';
import { runJob, wordOf } from '../support/harness/run-job.ts';
import { test, type TokenHarness } from '../support/harness/token-harness.ts';
import { shop } from '../support/harness/token-reader.ts';

const minuteMs = 60_000;

/** Milliseconds until the next renewal, and of the token that are left. */
async function times({ row }: TokenHarness, name = 'cards') {
  const { due_at: dueAt, expires_at: expiresAt, read_at: now } = await row(name);
  return {
    dueInMs: (dueAt?.getTime() ?? Infinity) - now.getTime(),
    leftMs: (expiresAt?.getTime() ?? 0) - now.getTime(),
  };
}

/** Gives the harness a token that was issued so many minutes ago. */
async function holdToken(harness: TokenHarness, ageMinutes: number, name = 'cards'): Promise<void> {
  await harness.add(name, 'app-1');
  await harness.renew(name);
  await harness.pass(name, ageMinutes * minuteMs);
}

test('a token that lives for less than the margin can be read, and is renewed after ten seconds at the soonest', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      async createAccessToken(...call) {
        const reply = await gateway.createAccessToken(...call);
        return reply.kind === 'done' ? { ...reply, expiresInMs: 5_000 } : reply;
      },
    }),
  });
  await holdToken(harness, 0);
  const reader = createAccessTokenReader({ ...harness.dependencies, isSubscribed: () => false });
  expect((await reader.read('cards', shop)).secondsLeft).toBeGreaterThanOrEqual(3);
  await reader.close();
  expect((await times(harness)).dueInMs).toBeGreaterThan(9_000);
  expect(await harness.renew('cards')).toBe('too_soon');
});

test('a refresh of unknown outcome is retried once after a second, by a job of its own, and then with growing waits', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const { db } = harness.dependencies;
  await holdToken(harness, 46);
  harness.sandbox.setFaults({ errorRate5xx: 1 });
  const waits: number[] = [];
  for (let failures = 1; failures <= 7; failures += 1) {
    await db.deleteFrom('outbox').execute();
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('outcome_unknown');
    waits.push((await times(harness)).dueInMs);
    expect(await harness.row('cards')).toMatchObject({ lease_owner: null, lease_until: null });
    const isLater = sql<boolean>`not_before > clock_timestamp() + interval '500 ms'`;
    const jobs = await db
      .selectFrom('outbox')
      .select(['job_name', 'payload', isLater.as('isLater')])
      .execute();
    // The scan finds the later retries.
    const retry = {
      job_name: 'access-token.refresh',
      payload: { v: 1, credential: 'cards', generation: 1 },
      isLater: true,
    };
    expect(jobs).toEqual(failures === 1 ? [retry] : []);
  }
  const ceilings = [1_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
  // Full jitter, with a random number of one half.
  const expected = ceilings.map((ceiling, index) => (index === 0 ? ceiling : ceiling / 2));
  for (const [index, wait] of waits.entries()) {
    expect(Math.abs(wait - (expected[index] ?? 0))).toBeLessThan(500);
  }
});

test('if only refreshes fail, a create follows before the token expires', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await holdToken(harness, 46);
  harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['oauth-refresh'] });
  for (const leftMinutes of [13, 6.5]) {
    await harness.pass('cards', (await times(harness)).leftMs - leftMinutes * minuteMs);
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('outcome_unknown');
    // There is always an attempt before half of what is left has passed.
    expect((await times(harness)).dueInMs).toBeLessThan((leftMinutes / 2) * minuteMs);
  }
  expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 2 });
  await harness.pass('cards', minuteMs);
  await harness.makeDue('cards');
  expect((await times(harness)).leftMs).toBeGreaterThan(5 * minuteMs);
  expect(await harness.renew('cards')).toBe('issued');
});

test.for([
  { what: 'is refused', rate: 0, faults: { createRejectRate: 1 } },
  { what: 'fails', rate: 1, faults: { faultEndpoints: ['oauth-create'] as const } },
])(
  'a valid refresh token is used if the create in the last tenth of the life $what',
  async ({ rate, faults }, { openTokenHarness }) => {
    const harness = await openTokenHarness();
    await holdToken(harness, 46);
    harness.sandbox.setFaults({ errorRate5xx: 1 });
    for (let failures = 0; failures < 2; failures += 1) {
      await harness.makeDue('cards');
      expect(await harness.renew('cards')).toBe('outcome_unknown');
    }
    await harness.pass('cards', (await times(harness)).leftMs - 5.5 * minuteMs);
    // The storm is over; only creates don't work.
    harness.sandbox.setFaults({
      errorRate5xx: rate,
      ...faults,
      faultEndpoints: [...(faults.faultEndpoints ?? [])],
    });
    await harness.makeDue('cards');
    expect(['suspended', 'outcome_unknown']).toContain(await harness.renew('cards'));
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('refreshed');
  },
);

test('a refused create does not delay a refresh token that was not refused', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await holdToken(harness, 46);
  harness.sandbox.setFaults({ errorRate5xx: 1 });
  for (let failures = 0; failures < 2; failures += 1) {
    await harness.makeDue('cards');
    await harness.renew('cards');
  }
  await harness.expire('cards');
  harness.sandbox.setFaults({ errorRate5xx: 0, createRejectRate: 1 });
  await harness.makeDue('cards');
  expect(await harness.renew('cards')).toBe('suspended');
  expect((await times(harness)).dueInMs).toBeLessThanOrEqual(1_000);
  await harness.makeDue('cards');
  expect(await harness.renew('cards')).toBe('refreshed');
});

test('two jobs that wait for a permit make one call for a credential that is refused', async ({
  openTokenHarness,
}) => {
  const [both, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let requests = 0;
  const harness = await openTokenHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      acquireOauthPermit: async (environment) => {
        requests += 1;
        if (requests === 2) both.resolve();
        await (requests === 2 ? held.promise : both.promise);
        return await gateway.acquireOauthPermit(environment);
      },
    }),
  });
  harness.sandbox.setFaults({ createRejectRate: 1 });
  await harness.add('cards', 'app-1');
  const jobs = [harness.renew('cards'), harness.renew('cards')];
  expect(await Promise.race(jobs)).toBe('suspended');
  held.resolve();
  expect((await Promise.all(jobs)).toSorted()).toEqual(['suspended', 'too_soon']);
  expect(harness.sandbox.state().calls['oauth-create']).toBe(1);
});

test("a token pair is committed after an outage during its first commit, and after the commit's reply was lost", async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const { door } = harness.dependencies;
  await holdToken(harness, 46);
  const stopping = new AbortController();
  const cases = [
    { isCommitted: false, isStopping: false },
    { isCommitted: true, isStopping: false },
    { isCommitted: false, isStopping: true },
  ];
  for (const [index, { isCommitted, isStopping }] of cases.entries()) {
    await harness.makeDue('cards');
    let isUnavailable = true;
    const apply: typeof door.apply = async (request) => {
      if (request.event !== 'access_token.refreshed' || !isUnavailable)
        return await door.apply(request);
      isUnavailable = false;
      if (isStopping) stopping.abort();
      if (isCommitted) await door.apply(request);
      throw new AppError('database_unavailable', 'The database did not answer.');
    };
    const dependencies = { ...harness.dependencies, door: { ...door, apply } };
    const run = runJob('access-token.refresh', { credential: 'cards' }, dependencies, {
      signal: stopping.signal,
    });
    expect(wordOf(await run)).toBe('refreshed');
    expect(await harness.row('cards')).toMatchObject({
      state: 'fresh',
      generation: index + 2,
    });
  }
  expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 3 });
});

test('a token pair that the database refuses for a temporary reason is stored later', async ({
  openTokenHarness,
  databaseUrl,
  door,
}) => {
  const alterTable = async (change: string): Promise<void> =>
    await withClient(databaseUrl, async (client) => {
      await client.query(`alter table token_lifecycle.access_token ${change}`);
    });
  const harness = await openTokenHarness();
  await holdToken(harness, 46);
  await harness.makeDue('cards');
  await alterTable('add constraint passing check (generation < 2)');
  const refusals: unknown[] = [];
  const apply: typeof door.apply = async (request) => {
    try {
      return await door.apply(request);
    } catch (error) {
      refusals.push(error);
      await alterTable('drop constraint passing');
      throw error;
    }
  };
  const as = { ...harness.dependencies, door: { ...door, apply } };
  const run = runJob('access-token.refresh', { credential: 'cards' }, as);
  expect(wordOf(await run)).toBe('refreshed');
  expect(refusals).toMatchObject([{ code: 'internal', cause: { code: '23514' } }]);
  expect(await harness.row('cards')).toMatchObject({ state: 'fresh', generation: 2 });
});

describe('a 404 of a proxy, or a refusal that lasts for minutes', () => {
  test('is retried long before the token expires', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    const proxied = createGatewayClient({
      checkoutUrl: harness.sandbox.checkoutUrl,
      openApiUrl: `${harness.sandbox.url}/nowhere`,
      timeoutMs: 2_000,
    });
    await holdToken(harness, 46);
    expect(await harness.renew('cards', { as: { gateway: proxied } })).toBe('outcome_unknown');
    await proxied.close();
    expect((await times(harness)).dueInMs).toBeLessThan(minuteMs);

    // The gateway's own refusal, by accident.
    harness.sandbox.setFaults({ refreshRejectRate: 1, createRejectRate: 1 });
    for (const leftMinutes of [12, 6, 3]) {
      await harness.pass('cards', (await times(harness)).leftMs - leftMinutes * minuteMs);
      await harness.makeDue('cards');
      expect(await harness.renew('cards')).toBe('suspended');
      const { dueInMs } = await times(harness);
      expect(Math.abs(dueInMs - (leftMinutes / 2) * minuteMs)).toBeLessThan(minuteMs / 4);
    }
    // Once a minute at most, and every 30 minutes once the token has expired.
    await harness.pass('cards', (await times(harness)).leftMs - minuteMs);
    await harness.makeDue('cards');
    await harness.renew('cards');
    expect((await times(harness)).dueInMs).toBeGreaterThan(minuteMs * 0.9);
    await harness.expire('cards');
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('suspended');
    expect(Math.abs((await times(harness)).dueInMs - 30 * minuteMs)).toBeLessThan(minuteMs);
    await harness.pass('cards', 30 * minuteMs);
    harness.sandbox.setFaults({ refreshRejectRate: 0, createRejectRate: 0 });
    expect(await harness.renew('cards')).toBe('issued');
  });
});
