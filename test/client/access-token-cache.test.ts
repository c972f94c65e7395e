import { describe, expect, test } from 'vitest';
import { createAccessTokenCache } from '../../src/client/access-token-cache.ts';
import type { AccessTokenView } from '../../src/client/answers.ts';

/** A worker that issues tokens of one hour, whose answers the test may hold back. */
function issuer() {
  const clock = { now: 0 };
  const state = { generation: 1, expiresAtMs: 3_600_000, asked: 0 };
  const held: (() => void)[] = [];
  const gate = { isHeld: false };
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
      return token;
    },
    () => clock.now,
  );
  const release = (): void => {
    gate.isHeld = false;
    for (const go of held.splice(0)) go();
  };
  return { clock, state, gate, release, cache };
}

describe('access tokens in memory', () => {
  test('are asked for once however many want one at once, and each credential by itself', async () => {
    const { cache, state } = issuer();
    const tokens = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => await cache.get(index % 2 === 0 ? 'a' : 'b')),
    );
    expect(state.asked).toBe(2);
    expect(tokens[0]?.accessToken).toBe('a-1');
    expect(tokens[1]?.accessToken).toBe('b-1');
  });

  test('are used until shortly before their end, and say how long they have left', async () => {
    const { cache, state, clock } = issuer();
    expect((await cache.get('a')).secondsLeft).toBe(3_600);
    clock.now = 3_589_000;
    expect((await cache.get('a')).secondsLeft).toBe(11);
    expect(state.asked).toBe(1);
    clock.now = 3_590_000;
    state.generation = 2;
    state.expiresAtMs += 3_600_000;
    expect((await cache.get('a')).generation).toBe(2);
    expect(state.asked).toBe(2);
  });

  test('of a reported generation are forgotten; a report of an older one forgets nothing', async () => {
    const { cache, state } = issuer();
    state.generation = 5;
    await cache.get('a');
    cache.forget('a', 4);
    await cache.get('a');
    expect(state.asked).toBe(1);
    cache.forget('a', 5);
    state.generation = 6;
    expect((await cache.get('a')).generation).toBe(6);
    expect(state.asked).toBe(2);
  });

  test('that were on their way when they were reported are not kept', async () => {
    const { cache, state, gate, release } = issuer();
    gate.isHeld = true;
    const early = cache.get('a');
    cache.forget('a', 1);
    release();
    expect((await early).generation).toBe(1);
    state.generation = 2;
    expect((await cache.get('a')).generation).toBe(2);
    expect((await cache.get('a')).generation).toBe(2);
    expect(state.asked).toBe(2);
  });

  test('are asked for again after a fault', async () => {
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
