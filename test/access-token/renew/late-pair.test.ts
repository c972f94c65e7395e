import { describe, expect } from 'vitest';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { Secret } from '../../../src/security/secret.ts';
import { isUnknown, keepCandidate, slow } from '../../support/faults/late-loser.ts';
import { holdDueToken, test, type TokenHarness } from '../../support/harness/token-harness.ts';
import { shop } from '../../support/harness/token-reader.ts';

const refusing = { refreshRejectRate: 1, createRejectRate: 1 };
const taking = { refreshRejectRate: 0, createRejectRate: 0 };

/** The row's token is one that the gateway takes, and the next renewal is a refresh by its own refresh token. */
async function expectWholePair(harness: TokenHarness, generation: number): Promise<void> {
  expect(await harness.row('cards')).toMatchObject({ state: 'fresh', generation, failures: 0 });
  expect(await harness.isGood((await harness.accessToken('cards')) ?? '')).toBe(true);
  await harness.makeDue('cards');
  expect(await harness.renew('cards')).toBe('refreshed');
}

describe('the pair of a late loser', () => {
  test('is kept sealed beside a newer one, which it never replaces', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    let newer: string | undefined;
    const late = slow(harness, async () => {
      await harness.makeDue('cards');
      expect(await harness.renew('cards')).toBe('issued');
      newer = await harness.accessToken('cards');
    });
    expect(await harness.renew('cards', { as: late })).toBe('overtaken');
    expect(await harness.accessToken('cards')).toBe(newer);
    const kept = await harness.candidate('cards');
    expect(kept).toMatchObject({ generation: 2, call: 'refresh' });
    expect(await harness.isGood(kept?.pair.accessToken ?? '')).toBe(true);
    expect(kept?.pair.accessToken).not.toBe(newer);
    // Nor later, when the newer one can't be renewed.
    harness.sandbox.setFaults(refusing);
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('suspended');
    expect(await harness.accessToken('cards')).toBe(newer);
    harness.sandbox.setFaults(taking);
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('issued');
  });

  test.for([
    { state: 'suspended', faults: { createRejectRate: 1 }, isDoubtful: false },
    {
      state: 'none',
      faults: { createRejectRate: 0, errorRate5xx: 1, faultEndpoints: ['oauth-create'] as const },
      isDoubtful: true,
    },
  ])(
    'becomes the token at once where whoever overtook it was refused and is now $state',
    async ({ state, faults, isDoubtful }, { openTokenHarness }) => {
      const harness = await openTokenHarness();
      await holdDueToken(harness, 'cards', 'app-1');
      let startedAt: Date | null = null;
      const life = { expiresInMs: 1_800_000 };
      const late = slow(
        harness,
        async () => {
          startedAt = (await harness.row('cards')).attempt_started_at;
          harness.sandbox.setFaults({
            refreshRejectRate: 1,
            ...faults,
            faultEndpoints: [...(faults.faultEndpoints ?? [])],
          });
          await harness.makeDue('cards');
          await harness.renew('cards');
          expect(await harness.row('cards')).toMatchObject({ state });
          harness.sandbox.setFaults({ ...taking, errorRate5xx: 0 });
        },
        async (...call) => ({ ...(await harness.gateway.refreshAccessToken(...call)), ...life }),
      );
      expect(await harness.renew('cards', { as: late })).toBe('candidate_adopted');
      const row = await harness.row('cards');
      expect(row).toMatchObject({ candidate_sealed: null, issued_at: startedAt });
      const lifeMs = (row.expires_at?.getTime() ?? 0) - (row.issued_at?.getTime() ?? 0);
      expect(lifeMs).toBe(1_800_000 - 60_000);
      const dueInMs = (row.due_at?.getTime() ?? 0) - row.read_at.getTime();
      expect(dueInMs > 60_000).toBe(!isDoubtful);
      const reader = createAccessTokenReader({
        ...harness.dependencies,
        isSubscribed: () => false,
      });
      expect(await reader.read('cards', shop)).toMatchObject({ generation: 2 });
      await reader.close();
      await expectWholePair(harness, 2);
    },
  );

  test('becomes the token when whoever is overtaking it fails, and is renewed soon where that call may have ended it', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const overtaker = await keepCandidate(harness, 'cards', isUnknown);
    expect(await overtaker.end()).toBe('candidate_adopted');
    const { due_at: dueAt, read_at: now } = await harness.row('cards');
    expect((dueAt?.getTime() ?? Infinity) - now.getTime()).toBeLessThanOrEqual(60_000);
    expect((await harness.events('cards')).slice(3)).toEqual([
      'refresh_intent',
      'lease_lost',
      'refresh_intent',
      'candidate_kept',
      'refresh_unknown',
      'candidate_adopted',
    ]);
    await expectWholePair(harness, 2);
  });

  test('becomes the token without another call where whoever was overtaking it has died', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const overtaker = await keepCandidate(
      harness,
      'cards',
      async () => await Promise.reject(new Error('killed')),
    );
    await expect(overtaker.end()).rejects.toThrow('killed');
    const { calls } = harness.sandbox.state();
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('candidate_adopted');
    expect(harness.sandbox.state().calls).toEqual(calls);
    await expectWholePair(harness, 2);
  });

  test('is forgotten where the credential has become another application, or is gone', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
    await holdDueToken(harness, 'cards', 'app-1');
    const changed = slow(harness, async () => await harness.add('cards', 'app-2'));
    expect(await harness.renew('cards', { as: changed })).toBe('former_app');
    expect(await harness.row('cards')).toMatchObject({ state: 'none', candidate_sealed: null });
    expect(await harness.renew('cards')).toBe('issued');

    await harness.makeDue('cards');
    const removed = slow(harness, async () => await harness.remove('cards'));
    expect(await harness.renew('cards', { as: removed })).toBe('credential_gone');
    expect(await harness.row('cards')).toMatchObject({ state: 'none', candidate_sealed: null });
  });

  test('is not adopted by another application, whoever died while that was stored', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
    await holdDueToken(harness, 'cards', 'app-1');
    const overtaker = await keepCandidate(harness, 'cards', isUnknown);
    await expect(
      harness.add('cards', 'app-2', { diesBefore: 'access_token.cleared' }),
    ).rejects.toThrow('killed');
    expect(await overtaker.end()).toBe('outcome_unknown');
    expect(await harness.candidate('cards')).toBeDefined();
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('issued');
    expect(await harness.row('cards')).toMatchObject({ generation: 2, candidate_sealed: null });
  });

  test('does not take the place of one that began later', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const newer = {
      kind: 'done',
      accessToken: new Secret('newer'),
      refreshToken: new Secret('newer-refresh'),
      expiresInMs: 3_600_000,
    } as const;
    let last: { readonly end: () => Promise<string> } | undefined;
    const older = slow(harness, async () => {
      await harness.makeDue('cards');
      last = await keepCandidate(
        harness,
        'cards',
        isUnknown,
        async () => await Promise.resolve(newer),
      );
    });
    expect(await harness.renew('cards', { as: older })).toBe('overtaken');
    expect((await harness.candidate('cards'))?.pair.accessToken).toBe('newer');
    expect(await last?.end()).toBe('candidate_adopted');
    expect(await harness.accessToken('cards')).toBe('newer');
  });

  test('is not adopted when its life is over', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const dead = { kind: 'done', accessToken: new Secret('dead'), expiresInMs: 1 } as const;
    const meanwhile = async (): Promise<void> => {
      await harness.makeDue('cards');
      const gateway = { ...harness.gateway, refreshAccessToken: isUnknown };
      expect(await harness.renew('cards', { as: { gateway } })).toBe('outcome_unknown');
    };
    const late = slow(
      harness,
      meanwhile,
      async () => await Promise.resolve({ ...dead, refreshToken: undefined }),
    );
    expect(await harness.renew('cards', { as: late })).toBe('overtaken');
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('refreshed');
  });

  test('that nobody can open any more is none', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    const overtaker = await keepCandidate(harness, 'cards', isUnknown);
    const { id } = await harness.row('cards');
    const { db } = harness.dependencies;
    await db
      .updateTable('access_token')
      .set({ candidate_sealed: 'v1.lost.AAAA' })
      .where('id', '=', id)
      .execute();
    expect(await overtaker.end()).toBe('outcome_unknown');
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('issued');
  });
});
