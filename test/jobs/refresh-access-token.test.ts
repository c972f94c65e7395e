import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { AppError } from '../../src/domain/errors.ts';
import { createAccessTokenReader } from '../../src/access-token/read/reader.ts';
import { runJob, wordOf } from '../support/harness/run-job.ts';
import { test, type TokenDesk } from '../support/harness/token-harness.ts';
import { shop } from '../support/harness/token-reader.ts';

const minuteMs = 60_000;

/** Milliseconds until the next renewal, and of the token that are left. */
async function times({ row }: TokenDesk, name = 'cards') {
  const { due_at: dueAt, expires_at: expiresAt, read_at: now } = await row(name);
  return {
    dueInMs: (dueAt?.getTime() ?? Infinity) - now.getTime(),
    leftMs: (expiresAt?.getTime() ?? 0) - now.getTime(),
  };
}

/** Has a token that was issued so many minutes ago. */
async function holdToken(desk: TokenDesk, ageMinutes: number, name = 'cards'): Promise<void> {
  await desk.add(name, 'app-1');
  await desk.renew(name);
  await desk.pass(name, ageMinutes * minuteMs);
}

test('a token whose life is not even the margin can be read, and is renewed ten seconds after it at the soonest', async ({
  openTokenDesk,
}) => {
  const desk = await openTokenDesk({
    wrapGateway: (gateway) => ({
      ...gateway,
      async createAccessToken(...call) {
        const reply = await gateway.createAccessToken(...call);
        return reply.kind === 'done' ? { ...reply, expiresInMs: 5_000 } : reply;
      },
    }),
  });
  await holdToken(desk, 0);
  const reader = createAccessTokenReader({ ...desk.dependencies, isHearing: () => false });
  expect((await reader.read('cards', shop)).secondsLeft).toBeGreaterThanOrEqual(3);
  await reader.close();
  expect((await times(desk)).dueInMs).toBeGreaterThan(9_000);
  expect(await desk.renew('cards')).toBe('too_soon');
});

test('a refresh of unknown outcome is tried once more after a second, by a job of its own, and then with growing waits', async ({
  openTokenDesk,
}) => {
  const desk = await openTokenDesk();
  const { db } = desk.dependencies;
  await holdToken(desk, 46);
  desk.sandbox.setFaults({ errorRate5xx: 1 });
  const waits: number[] = [];
  for (let failures = 1; failures <= 7; failures += 1) {
    await db.deleteFrom('outbox').execute();
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('outcome_unknown');
    waits.push((await times(desk)).dueInMs);
    expect(await desk.row('cards')).toMatchObject({ lease_owner: null, lease_until: null });
    const isLater = sql<boolean>`not_before > clock_timestamp() + interval '500 ms'`;
    const jobs = await db
      .selectFrom('outbox')
      .select(['job_name', 'payload', isLater.as('isLater')])
      .execute();
    // Later waits are long enough for the scan to see to them.
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

test('refreshes that alone fail, or refuse without a word of the gateway, are given up for a create before readers notice', async ({
  openTokenDesk,
}) => {
  const desk = await openTokenDesk();
  await holdToken(desk, 46);
  desk.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['oauth-refresh'] });
  for (const leftMinutes of [13, 6.5]) {
    await desk.pass('cards', (await times(desk)).leftMs - leftMinutes * minuteMs);
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('outcome_unknown');
    // There is always an attempt before half of what is left has passed.
    expect((await times(desk)).dueInMs).toBeLessThan((leftMinutes / 2) * minuteMs);
  }
  expect(desk.sandbox.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 2 });
  await desk.pass('cards', minuteMs);
  await desk.makeDue('cards');
  expect((await times(desk)).leftMs).toBeGreaterThan(5 * minuteMs);
  expect(await desk.renew('cards')).toBe('issued');
});

test.for([
  { what: 'is refused', rate: 0, faults: { createRejectRate: 1 } },
  { what: 'fails', rate: 1, faults: { faultEndpoints: ['oauth-create'] as const } },
])(
  'a refresh token that works is used where the create in the last tenth $what',
  async ({ rate, faults }, { openTokenDesk }) => {
    const desk = await openTokenDesk();
    await holdToken(desk, 46);
    desk.sandbox.setFaults({ errorRate5xx: 1 });
    for (let failures = 0; failures < 2; failures += 1) {
      await desk.makeDue('cards');
      expect(await desk.renew('cards')).toBe('outcome_unknown');
    }
    await desk.pass('cards', (await times(desk)).leftMs - 5.5 * minuteMs);
    // The storm is over; only creates don't work.
    desk.sandbox.setFaults({
      errorRate5xx: rate,
      ...faults,
      faultEndpoints: [...(faults.faultEndpoints ?? [])],
    });
    await desk.makeDue('cards');
    expect(['suspended', 'outcome_unknown']).toContain(await desk.renew('cards'));
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('refreshed');
  },
);

test('a refused create does not put off a refresh token that nobody has refused', async ({
  openTokenDesk,
}) => {
  const desk = await openTokenDesk();
  await holdToken(desk, 46);
  desk.sandbox.setFaults({ errorRate5xx: 1 });
  for (let failures = 0; failures < 2; failures += 1) {
    await desk.makeDue('cards');
    await desk.renew('cards');
  }
  await desk.expire('cards');
  desk.sandbox.setFaults({ errorRate5xx: 0, createRejectRate: 1 });
  await desk.makeDue('cards');
  expect(await desk.renew('cards')).toBe('suspended');
  expect((await times(desk)).dueInMs).toBeLessThanOrEqual(1_000);
  await desk.makeDue('cards');
  expect(await desk.renew('cards')).toBe('refreshed');
});

test('two jobs that wait for their turn make one call for a credential that is refused', async ({
  openTokenDesk,
}) => {
  const [both, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let turns = 0;
  const desk = await openTokenDesk({
    wrapGateway: (gateway) => ({
      ...gateway,
      oauthTurn: async (environment) => {
        turns += 1;
        if (turns === 2) both.resolve();
        await (turns === 2 ? held.promise : both.promise);
        return await gateway.oauthTurn(environment);
      },
    }),
  });
  desk.sandbox.setFaults({ createRejectRate: 1 });
  await desk.add('cards', 'app-1');
  const jobs = [desk.renew('cards'), desk.renew('cards')];
  expect(await Promise.race(jobs)).toBe('suspended');
  held.resolve();
  expect((await Promise.all(jobs)).toSorted()).toEqual(['suspended', 'too_soon']);
  expect(desk.sandbox.state().calls['oauth-create']).toBe(1);
});

test('a pair is committed although the database was away when it came, and although its answer was lost', async ({
  openTokenDesk,
}) => {
  const desk = await openTokenDesk();
  const { door } = desk.dependencies;
  await holdToken(desk, 46);
  const stopping = new AbortController();
  const cases = [
    { isCommitted: false, isStopping: false },
    { isCommitted: true, isStopping: false },
    { isCommitted: false, isStopping: true },
  ];
  for (const [index, { isCommitted, isStopping }] of cases.entries()) {
    await desk.makeDue('cards');
    let isAway = true;
    const apply: typeof door.apply = async (request) => {
      if (request.event !== 'access_token.refreshed' || !isAway) return await door.apply(request);
      isAway = false;
      if (isStopping) stopping.abort();
      if (isCommitted) await door.apply(request);
      throw new AppError('database_unavailable', 'The database did not answer.');
    };
    const dependencies = { ...desk.dependencies, door: { ...door, apply } };
    const run = runJob(
      'access-token.refresh',
      { credential: 'cards' },
      dependencies,
      stopping.signal,
    );
    expect(wordOf(await run)).toBe('refreshed');
    expect(await desk.row('cards')).toMatchObject({
      state: 'fresh',
      generation: index + 2,
      candidate_sealed: null,
    });
  }
  expect(desk.sandbox.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 3 });
});

test('a refresh token that no key of ours opens is followed by a create', async ({
  openTokenDesk,
}) => {
  const desk = await openTokenDesk();
  await holdToken(desk, 46);
  const { db } = desk.dependencies;
  await db.updateTable('access_token').set({ refresh_token_sealed: 'v1.lost.AAAA' }).execute();
  expect(await desk.renew('cards')).toBe('issued');
});

describe('what is no refusal, or was one for a minute', () => {
  test('is tried again long before the token runs out', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    const proxied = createGatewayClient({
      checkoutUrl: desk.sandbox.checkoutUrl,
      openApiUrl: `${desk.sandbox.url}/nowhere`,
      timeoutMs: 2_000,
    });
    await holdToken(desk, 46);
    // A 404 of a proxy in between.
    expect(await desk.renew('cards', { as: { gateway: proxied } })).toBe('outcome_unknown');
    await proxied.close();
    expect((await times(desk)).dueInMs).toBeLessThan(minuteMs);

    // The gateway's own refusal, by accident.
    desk.sandbox.setFaults({ refreshRejectRate: 1, createRejectRate: 1 });
    for (const leftMinutes of [12, 6, 3]) {
      await desk.pass('cards', (await times(desk)).leftMs - leftMinutes * minuteMs);
      await desk.makeDue('cards');
      expect(await desk.renew('cards')).toBe('suspended');
      const { dueInMs } = await times(desk);
      expect(Math.abs(dueInMs - (leftMinutes / 2) * minuteMs)).toBeLessThan(minuteMs / 4);
    }
    // Never more often than once a minute, and every 30 once there is nothing to lose.
    await desk.pass('cards', (await times(desk)).leftMs - minuteMs);
    await desk.makeDue('cards');
    await desk.renew('cards');
    expect((await times(desk)).dueInMs).toBeGreaterThan(minuteMs * 0.9);
    await desk.expire('cards');
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('suspended');
    expect(Math.abs((await times(desk)).dueInMs - 30 * minuteMs)).toBeLessThan(minuteMs);
    await desk.pass('cards', 30 * minuteMs);
    desk.sandbox.setFaults({ refreshRejectRate: 0, createRejectRate: 0 });
    expect(await desk.renew('cards')).toBe('issued');
  });
});
