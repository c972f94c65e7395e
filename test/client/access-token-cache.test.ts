import { describe, expect, test } from 'vitest';
import { createAccessTokenCache } from '../../src/client/access-token-cache.ts';
import type { AccessTokenView } from '../../src/client/answers.ts';
import { TokenClientError } from '../../src/client/client-error.ts';

/** A worker that issues tokens of one hour, whose answers the test may hold back. */
function issuer() {
  const clock = { now: 0 };
  const state = { generation: 1, expiresAtMs: 3_600_000, asked: 0 };
  const held: (() => void)[] = [];
  const gate: { isHeld: boolean; fault?: Error } = { isHeld: false };
  const cache = createAccessTokenCache(
    async (credential) => {
      state.asked += 1;
      const token: AccessTokenView = {
        accessToken: `${credential}-${state.generation}`,
        generation: state.generation,
        issuedAt: '2026-11-24T00:00:00.000Z',
        expiresAt: '2026-11-24T01:00:00.000Z',
        secondsLeft: Math.floor((state.expiresAtMs - clock.now) / 1_000),
      };
      if (gate.isHeld) await new Promise<void>((resolve) => held.push(resolve));
      if (gate.fault !== undefined) throw gate.fault;
      return token;
    },
    () => clock.now,
  );
  const release = (): void => {
    gate.isHeld = false;
    for (const go of held.splice(0)) go();
  };
  /**
   * The generation that a caller gets without a wait for the worker, once running requests are
   * answered.
   */
  const generationAtOnce = async (): Promise<number> => {
    await new Promise(setImmediate);
    gate.isHeld = true;
    const { generation } = await cache.get('a');
    release();
    await new Promise(setImmediate);
    return generation;
  };
  return { clock, state, gate, release, cache, generationAtOnce };
}

const problem = (code: string): TokenClientError =>
  new TokenClientError('No.', { code, isRetryable: false });

describe('cached access tokens', () => {
  test('are loaded by one request per credential, however many callers ask at once', async () => {
    const { cache, state } = issuer();
    const tokens = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => await cache.get(index % 2 === 0 ? 'a' : 'b')),
    );
    expect(state.asked).toBe(2);
    expect(tokens[0]?.accessToken).toBe('a-1');
    expect(tokens[1]?.accessToken).toBe('b-1');
  });

  test('are used until ten seconds before they expire, with their remaining seconds', async () => {
    const { cache, state, clock, gate } = issuer();
    expect((await cache.get('a')).secondsLeft).toBe(3_600);
    gate.fault = problem('network');
    clock.now = 3_589_000;
    expect((await cache.get('a')).secondsLeft).toBe(11);
    await new Promise(setImmediate);
    delete gate.fault;
    clock.now = 3_590_000;
    state.generation = 2;
    state.expiresAtMs += 3_600_000;
    expect((await cache.get('a')).generation).toBe(2);
  });

  test.for(['network', 'timeout', 'access_token_unavailable', 'scope_missing', 'internal'])(
    'are used until they expire while the worker answers %s; in the last ten seconds the client asks it first',
    async (code) => {
      const { cache, state, clock, gate } = issuer();
      await cache.get('a');
      gate.fault = problem(code);
      clock.now = 3_590_000;
      expect(await cache.get('a')).toMatchObject({ generation: 1, secondsLeft: 10 });
      clock.now = 3_599_999;
      expect(await cache.get('a')).toMatchObject({ generation: 1, secondsLeft: 0 });
      expect(state.asked).toBe(3);
      clock.now = 3_600_000;
      await expect(cache.get('a')).rejects.toMatchObject({ code });
    },
  );

  test('are dropped in their last seconds when the worker answers credential_not_found', async () => {
    const { cache, clock, gate } = issuer();
    await cache.get('a');
    gate.fault = problem('credential_not_found');
    clock.now = 3_590_000;
    await expect(cache.get('a')).rejects.toMatchObject({ code: 'credential_not_found' });
    gate.fault = problem('network');
    await expect(cache.get('a')).rejects.toMatchObject({ code: 'network' });
  });

  test('that are reported or expire during a failing request are not returned instead of its error', async () => {
    const { cache, clock, gate, release } = issuer();
    await Promise.all([cache.get('a'), cache.get('b')]);
    gate.fault = problem('network');
    gate.isHeld = true;
    clock.now = 3_590_000;
    const reported = cache.get('a');
    cache.evict('a', 1);
    release();
    await expect(reported).rejects.toThrow('No.');
    gate.isHeld = true;
    const ended = cache.get('b');
    clock.now = 3_600_000;
    release();
    await expect(ended).rejects.toThrow('No.');
  });

  test('count their remaining seconds from the start of the request, however long the answer takes', async () => {
    const { cache, clock, gate, release } = issuer();
    gate.isHeld = true;
    const slow = cache.get('a');
    clock.now = 8_000;
    release();
    await slow;
    expect((await cache.get('a')).secondsLeft).toBe(3_592);
  });

  test('are loaded again in the background once they are ten seconds old', async () => {
    const { clock, state, generationAtOnce, cache } = issuer();
    await cache.get('a');
    state.generation = 2;
    clock.now = 9_999;
    expect(await generationAtOnce()).toBe(1);
    expect(state.asked).toBe(1);
    clock.now = 10_000;
    expect(await generationAtOnce()).toBe(1);
    expect(await generationAtOnce()).toBe(2);
    expect(state.asked).toBe(2);
    clock.now = 20_000;
    expect(await generationAtOnce()).toBe(2);
    expect(state.asked).toBe(3);
  });

  test('are loaded again by one request at a time, however many callers and however slow the worker', async () => {
    const { clock, state, gate, release, cache } = issuer();
    await cache.get('a');
    gate.isHeld = true;
    for (const now of [10_000, 10_001, 20_000, 40_000]) {
      clock.now = now;
      await Promise.all(Array.from({ length: 10 }, async () => await cache.get('a')));
    }
    expect(state.asked).toBe(2);
    release();
  });

  test.for(['network', 'timeout', 'access_token_unavailable', 'scope_missing', 'internal'])(
    'stay cached while the worker answers %s, and are requested again only every ten seconds',
    async (code) => {
      const { clock, state, gate, generationAtOnce, cache } = issuer();
      await cache.get('a');
      gate.fault = problem(code);
      for (const now of [10_000, 10_001, 19_999, 20_000, 29_999]) {
        clock.now = now;
        expect(await generationAtOnce()).toBe(1);
      }
      expect(state.asked).toBe(3);
    },
  );

  test('are dropped once the worker answers credential_not_found', async () => {
    const { clock, gate, generationAtOnce, cache } = issuer();
    await cache.get('a');
    gate.fault = problem('credential_not_found');
    clock.now = 10_000;
    expect(await generationAtOnce()).toBe(1);
    await expect(cache.get('a')).rejects.toMatchObject({ code: 'credential_not_found' });
    delete gate.fault;
    expect((await cache.get('a')).generation).toBe(1);
  });

  test('of a reported generation are dropped; a report of an older one drops nothing', async () => {
    const { cache, state } = issuer();
    state.generation = 5;
    await cache.get('a');
    cache.evict('a', 4);
    await cache.get('a');
    expect(state.asked).toBe(1);
    cache.evict('a', 5);
    state.generation = 6;
    expect((await cache.get('a')).generation).toBe(6);
    expect(state.asked).toBe(2);
  });

  test('that were being loaded when they were reported are not kept', async () => {
    const { cache, state, gate, release } = issuer();
    gate.isHeld = true;
    const early = cache.get('a');
    cache.evict('a', 1);
    release();
    expect((await early).generation).toBe(1);
    state.generation = 2;
    expect((await cache.get('a')).generation).toBe(2);
    expect((await cache.get('a')).generation).toBe(2);
    expect(state.asked).toBe(2);
  });

  test('of a lower generation are kept once the previous token has expired, as after a restored database', async () => {
    const { cache, state, clock } = issuer();
    state.generation = 50;
    await cache.get('a');
    Object.assign(state, { generation: 1, expiresAtMs: 7_200_000, asked: 0 });
    clock.now = 3_600_000;
    for (let reads = 0; reads < 3; reads += 1) {
      expect((await cache.get('a')).generation).toBe(1);
    }
    expect(state.asked).toBe(1);
  });

  test('of a lower generation are not kept while the previous token is valid', async () => {
    const { cache, state, clock, generationAtOnce } = issuer();
    state.generation = 50;
    await cache.get('a');
    state.generation = 49;
    for (const now of [10_000, 20_000, 3_589_000]) {
      clock.now = now;
      expect(await generationAtOnce()).toBe(50);
    }
    expect(state.asked).toBe(4);
  });

  test('that were reported, but that the worker still returns, stay cached and are loaded again each second', async () => {
    const { cache, state, clock, gate, generationAtOnce } = issuer();
    state.generation = 50;
    await cache.get('a');
    cache.evict('a', 50);
    state.asked = 0;
    await cache.get('a');
    for (const now of [0, 999, 1_000, 1_001]) {
      clock.now = now;
      expect(await generationAtOnce()).toBe(50);
    }
    expect(state.asked).toBe(2);
    // The worker becomes unreachable during the renewal: a token is better than none.
    gate.fault = problem('network');
    clock.now = 2_000;
    expect(await generationAtOnce()).toBe(50);
    delete gate.fault;
    state.generation = 51;
    clock.now = 3_000;
    expect(await generationAtOnce()).toBe(50);
    expect(await generationAtOnce()).toBe(51);
    state.asked = 0;
    clock.now = 12_999;
    expect(await generationAtOnce()).toBe(51);
    expect(state.asked).toBe(0);
  });

  test('are requested again after a fault', async () => {
    const faults = { left: 1 };
    const cache = createAccessTokenCache(async () => {
      faults.left -= 1;
      if (faults.left >= 0) throw new Error('away');
      return await issuer().cache.get('a');
    });
    await expect(cache.get('a')).rejects.toThrow('away');
    expect((await cache.get('a')).generation).toBe(1);
  });
});
