import { sql } from 'kysely';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { tokenPlace } from '../../../src/access-token/row.ts';
import type { GatewayClient } from '../../../src/gateway/client.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { runJob, wordOf } from '../../support/harness/run-job.ts';
import { runTokenScan } from '../../support/harness/scan-tokens.ts';
import { holdDueToken, test, type TokenHarness } from '../../support/harness/token-harness.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** The gateway of a harness, with some of its calls replaced. */
function gatewayWith({ gateway }: TokenHarness, calls: Partial<GatewayClient>) {
  return { as: { gateway: { ...gateway, ...calls } } };
}

/** Milliseconds until the next attempt, on the database's clock. */
async function dueInMs({ row }: TokenHarness): Promise<number> {
  const { read_at: now, due_at: dueAt } = await row('cards');
  return (dueAt?.getTime() ?? Infinity) - now.getTime();
}

describe('a job for a generation', () => {
  test('that is over does nothing, whether the job learns it before its permit or after it', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const overtaken = gatewayWith(harness, {
      async acquireOauthPermit(...request) {
        await harness.renew('cards');
        await harness.makeDue('cards');
        return await harness.gateway.acquireOauthPermit(...request);
      },
    });
    expect(await harness.renew('cards', { generation: 1, ...overtaken })).toBe('lease_held');
    expect(await harness.renew('cards', { generation: 1 })).toBe('already_renewed');
    expect(await harness.row('cards')).toMatchObject({ generation: 2 });
    expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-refresh': 1 });
  });
});

describe('while a renewal is under way', () => {
  test('the token is due when the lease expires, measured only by the clock of the database', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    onTestFinished(() => void vi.useRealTimers());
    const results: string[] = [];
    const observed = gatewayWith(harness, {
      async refreshAccessToken(...call) {
        const { leaseMs } = harness.dependencies.settings.accessToken;
        expect(Math.abs((await dueInMs(harness)) - leaseMs)).toBeLessThan(2_000);
        const { due_at: dueAt, lease_until: leaseUntil } = await harness.row('cards');
        expect(dueAt).toEqual(leaseUntil);
        // The worker's own clock makes no difference.
        for (const days of [-1, 1]) {
          vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * dayMs });
          results.push(await harness.renew('cards'));
          await sql`update access_token set due_at = now()`.execute(harness.dependencies.db);
          results.push(await harness.renew('cards'));
          await sql`update access_token set due_at = lease_until`.execute(harness.dependencies.db);
          vi.useRealTimers();
        }
        return await harness.gateway.refreshAccessToken(...call);
      },
    });
    expect(await harness.renew('cards', observed)).toBe('refreshed');
    expect(results).toEqual(['too_soon', 'lease_held', 'too_soon', 'lease_held']);
  });

  test('a stop ends its call, counts as no failure, and is followed by the same call soon', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({
      faults: { hangRate: 1, faultEndpoints: ['oauth-refresh'] },
    });
    await holdDueToken(harness, 'cards', 'app-1');
    await harness.dependencies.db.updateTable('access_token').set({ failures: 3 }).execute();
    const stopping = new AbortController();
    const run = runJob('access-token.refresh', { credential: 'cards' }, harness.dependencies, {
      signal: stopping.signal,
    });
    await eventually('the call', () => harness.sandbox.state().calls['oauth-refresh'] === 1);
    stopping.abort();
    expect(wordOf(await run)).toBe('outcome_unknown');
    expect(await harness.row('cards')).toMatchObject({ state: 'ambiguous', failures: 3 });
    expect(await dueInMs(harness)).toBeLessThanOrEqual(1_000);
  });
});

describe('a permit for a call', () => {
  test('that is refused leaves a due token to the next scan, and delays the job of any other token', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const runWithoutPermit = async () => {
      const { as } = gatewayWith(harness, {
        acquireOauthPermit: async () =>
          await Promise.resolve({ kind: 'retry_later', retryAfterMs: 1_234 }),
      });
      const dependencies = { ...harness.dependencies, ...as };
      return await runJob('access-token.refresh', { credential: 'cards' }, dependencies);
    };
    expect(await runWithoutPermit()).toEqual({ kind: 'done', result: 'deferred_to_scan' });
    expect((await runTokenScan(harness)).map(({ payload }) => payload)).toEqual([
      { v: 1, credential: 'cards', generation: 1 },
    ]);
    // A backend enqueues a renewal that is not due: no scan would enqueue it.
    await harness.renew('cards');
    await harness.pass('cards', 2 * minuteMs);
    expect(await runWithoutPermit()).toEqual({
      kind: 'snooze',
      delayMs: 1_234,
      result: 'host_is_busy',
    });
    expect(await runTokenScan(harness)).toEqual([]);
  });

  test('is urgent where readers wait for the token, or soon will, and its renewal has not failed', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const asked: (boolean | undefined)[] = [];
    const asking = gatewayWith(harness, {
      async acquireOauthPermit(environment, request) {
        asked.push(request?.isUrgent);
        return await harness.gateway.acquireOauthPermit(environment, request);
      },
    });
    await harness.add('cards', 'app-1');
    await harness.renew('cards', asking);
    await harness.makeDue('cards');
    await harness.renew('cards', asking);
    harness.sandbox.setFaults({ errorRate5xx: 1 });
    for (let attempts = 0; attempts < 2; attempts += 1) {
      await harness.expire('cards');
      await harness.makeDue('cards');
      await harness.renew('cards', asking);
    }
    // A first token, a valid one, an expired one, and one whose renewal has failed.
    expect(asked).toEqual([false, false, true, false]);
  });

  test('is not used by a worker that is stopping, and is released after any outcome', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    let held = 0;
    const counting = gatewayWith(harness, {
      async acquireOauthPermit() {
        held += 1;
        return await Promise.resolve({ kind: 'permit', release: () => void (held -= 1) });
      },
      refreshAccessToken: async () => await Promise.reject(new Error('broken')),
    });
    const stopped = await runJob(
      'access-token.refresh',
      { credential: 'cards' },
      { ...harness.dependencies, ...counting.as },
      { signal: AbortSignal.abort() },
    );
    expect(wordOf(stopped)).toBe('no_time_left');
    expect(await harness.row('cards')).toMatchObject({ state: 'fresh' });
    await expect(harness.renew('cards', counting)).rejects.toThrow('broken');
    expect(held).toBe(0);
  });
});

describe('a worker without the encryption key', () => {
  const keyless = { as: { keyring: createKeyring([generateEncryptionKey('k2')]) } };

  test('of a credential takes no lease, and leaves its token to the workers with the key', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    for (let rounds = 0; rounds < 3; rounds += 1) {
      expect(await harness.renew('cards', keyless)).toBe('deferred_to_scan');
    }
    expect(await harness.row('cards')).toMatchObject({ state: 'none', lease_until: null });
    expect(harness.logs.join()).toContain('key_unknown');
    expect((await runTokenScan(harness)).map(({ payload }) => payload)).toEqual([
      { v: 1, credential: 'cards', generation: 0 },
    ]);
    expect(await harness.renew('cards')).toBe('issued');
    expect(await harness.events('cards')).toEqual(['registered', 'issue_intent', 'issued']);
  });

  test('of a refresh token replaces it by a create in the last tenth of its life, not before', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    // A worker with a newer key has sealed the refresh token. This one opens the credential.
    const { id } = await harness.row('cards');
    const newer = createKeyring([generateEncryptionKey('k2')]);
    const place = tokenPlace('refresh_token_sealed', id);
    const sealed = newer.seal(place, await harness.refreshToken('cards'));
    await sql`update access_token set refresh_token_sealed = ${sealed} where id = ${id}`.execute(
      harness.dependencies.db,
    );
    expect(await harness.renew('cards')).toBe('deferred_to_scan');
    expect(await harness.row('cards')).toMatchObject({ state: 'fresh', failures: 0 });
    await harness.pass('cards', 54 * minuteMs);
    expect(await harness.renew('cards')).toBe('issued');
    expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-create': 2, 'oauth-refresh': 0 });
  });

  test('delays a job that no scan would enqueue', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    await harness.pass('cards', 2 * minuteMs);
    const dependencies = { ...harness.dependencies, ...keyless.as };
    expect(
      await runJob('access-token.refresh', { credential: 'cards' }, dependencies),
    ).toMatchObject({ kind: 'snooze', result: 'key_unknown' });
  });
});

test('a refresh token that was altered is replaced by a create', async ({ openTokenHarness }) => {
  const harness = await openTokenHarness();
  await holdDueToken(harness, 'cards', 'app-1');
  await sql`update access_token set refresh_token_sealed = access_token_sealed`.execute(
    harness.dependencies.db,
  );
  expect(await harness.renew('cards')).toBe('issued');
});

describe('after a failure', () => {
  test('the row is not leased, and a refused refresh token is never tried again', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({
      faults: { refreshRejectRate: 1, faultEndpoints: ['oauth-create'] },
    });
    await holdDueToken(harness, 'cards', 'app-1');
    harness.sandbox.setFaults({ errorRate5xx: 1 });
    for (let attempts = 0; attempts < 4; attempts += 1) {
      await harness.makeDue('cards');
      expect(await harness.renew('cards')).toBe('outcome_unknown');
      expect(await harness.row('cards')).toMatchObject({
        state: 'none',
        lease_owner: null,
        lease_until: null,
        refresh_token_sealed: null,
      });
    }
    expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-refresh': 1, 'oauth-create': 5 });
  });

  test('the renewal of an expired token is retried every ten seconds at least', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    await harness.expire('cards');
    harness.sandbox.setFaults({ errorRate5xx: 1 });
    for (let attempts = 0; attempts < 8; attempts += 1) {
      await harness.makeDue('cards');
      expect(await harness.renew('cards', { as: { random: () => 0.999 } })).toBe('outcome_unknown');
    }
    const waitMs = await dueInMs(harness);
    expect(waitMs).toBeGreaterThan(8_000);
    expect(waitMs).toBeLessThanOrEqual(10_000);
  });
});

test('a token is renewed in the environment of its credential', async ({ openTokenHarness }) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1', { environment: 'production' });
  expect(await harness.row('cards')).toMatchObject({ environment: 'production' });
  await harness.add('cards', 'app-1', { environment: 'sandbox' });
  expect(await harness.renew('cards')).toBe('issued');
  expect(await harness.row('cards')).toMatchObject({ environment: 'sandbox' });
});
