import { describe, expect } from 'vitest';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { Secret } from '../../../src/security/secret.ts';
import { isUnknown, keepCandidate, slow } from '../../support/faults/late-loser.ts';
import { holdDueToken, test, type TokenDesk } from '../../support/harness/token-harness.ts';
import { shop } from '../../support/harness/token-reader.ts';

const refusing = { refreshRejectRate: 1, createRejectRate: 1 };
const taking = { refreshRejectRate: 0, createRejectRate: 0 };

/** The row's token is one that the gateway takes, and the next renewal is a refresh by its own refresh token. */
async function expectWholePair(desk: TokenDesk, generation: number): Promise<void> {
  expect(await desk.row('cards')).toMatchObject({ state: 'fresh', generation, failures: 0 });
  expect(await desk.isGood((await desk.accessToken('cards')) ?? '')).toBe(true);
  await desk.makeDue('cards');
  expect(await desk.renew('cards')).toBe('refreshed');
}

describe('the pair of a late loser', () => {
  test('is kept sealed beside a newer one, which it never replaces', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    await holdDueToken(desk, 'cards', 'app-1');
    let newer: string | undefined;
    const late = slow(desk, async () => {
      await desk.makeDue('cards');
      expect(await desk.renew('cards')).toBe('issued');
      newer = await desk.accessToken('cards');
    });
    expect(await desk.renew('cards', { as: late })).toBe('overtaken');
    expect(await desk.accessToken('cards')).toBe(newer);
    const kept = await desk.candidate('cards');
    expect(kept).toMatchObject({ generation: 2, call: 'refresh' });
    expect(await desk.isGood(kept?.pair.accessToken ?? '')).toBe(true);
    expect(kept?.pair.accessToken).not.toBe(newer);
    // Nor later, when the newer one can't be renewed.
    desk.sandbox.setFaults(refusing);
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('suspended');
    expect(await desk.accessToken('cards')).toBe(newer);
    desk.sandbox.setFaults(taking);
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('issued');
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
    async ({ state, faults, isDoubtful }, { openTokenDesk }) => {
      const desk = await openTokenDesk();
      await holdDueToken(desk, 'cards', 'app-1');
      let startedAt: Date | null = null;
      const life = { expiresInMs: 1_800_000 };
      const late = slow(
        desk,
        async () => {
          startedAt = (await desk.row('cards')).attempt_started_at;
          desk.sandbox.setFaults({
            refreshRejectRate: 1,
            ...faults,
            faultEndpoints: [...(faults.faultEndpoints ?? [])],
          });
          await desk.makeDue('cards');
          await desk.renew('cards');
          expect(await desk.row('cards')).toMatchObject({ state });
          desk.sandbox.setFaults({ ...taking, errorRate5xx: 0 });
        },
        async (...call) => ({ ...(await desk.gateway.refreshAccessToken(...call)), ...life }),
      );
      expect(await desk.renew('cards', { as: late })).toBe('candidate_adopted');
      const row = await desk.row('cards');
      expect(row).toMatchObject({ candidate_sealed: null, issued_at: startedAt });
      const lifeMs = (row.expires_at?.getTime() ?? 0) - (row.issued_at?.getTime() ?? 0);
      expect(lifeMs).toBe(1_800_000 - 60_000);
      const dueInMs = (row.due_at?.getTime() ?? 0) - row.read_at.getTime();
      expect(dueInMs > 60_000).toBe(!isDoubtful);
      const reader = createAccessTokenReader({ ...desk.dependencies, isHearing: () => false });
      expect(await reader.read('cards', shop)).toMatchObject({ generation: 2 });
      await reader.close();
      await expectWholePair(desk, 2);
    },
  );

  test('becomes the token when whoever is overtaking it fails, and is renewed soon where that call may have ended it', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk();
    await holdDueToken(desk, 'cards', 'app-1');
    const overtaker = await keepCandidate(desk, 'cards', isUnknown);
    expect(await overtaker.end()).toBe('candidate_adopted');
    const { due_at: dueAt, read_at: now } = await desk.row('cards');
    expect((dueAt?.getTime() ?? Infinity) - now.getTime()).toBeLessThanOrEqual(60_000);
    expect((await desk.events('cards')).slice(3)).toEqual([
      'refresh_intent',
      'lease_lost',
      'refresh_intent',
      'candidate_kept',
      'refresh_unknown',
      'candidate_adopted',
    ]);
    await expectWholePair(desk, 2);
  });

  test('becomes the token without another call where whoever was overtaking it has died', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk();
    await holdDueToken(desk, 'cards', 'app-1');
    const overtaker = await keepCandidate(
      desk,
      'cards',
      async () => await Promise.reject(new Error('killed')),
    );
    await expect(overtaker.end()).rejects.toThrow('killed');
    const { calls } = desk.sandbox.state();
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('candidate_adopted');
    expect(desk.sandbox.state().calls).toEqual(calls);
    await expectWholePair(desk, 2);
  });

  test('is forgotten where the credential has become another application, or is gone', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk({ appKeys: ['app-1', 'app-2'] });
    await holdDueToken(desk, 'cards', 'app-1');
    const changed = slow(desk, async () => await desk.add('cards', 'app-2'));
    expect(await desk.renew('cards', { as: changed })).toBe('former_app');
    expect(await desk.row('cards')).toMatchObject({ state: 'none', candidate_sealed: null });
    expect(await desk.renew('cards')).toBe('issued');

    await desk.makeDue('cards');
    const removed = slow(desk, async () => await desk.remove('cards'));
    expect(await desk.renew('cards', { as: removed })).toBe('credential_gone');
    expect(await desk.row('cards')).toMatchObject({ state: 'none', candidate_sealed: null });
  });

  test('is not adopted by another application, whoever died while that was stored', async ({
    openTokenDesk,
  }) => {
    const desk = await openTokenDesk({ appKeys: ['app-1', 'app-2'] });
    await holdDueToken(desk, 'cards', 'app-1');
    const overtaker = await keepCandidate(desk, 'cards', isUnknown);
    await expect(
      desk.add('cards', 'app-2', { diesBefore: 'access_token.cleared' }),
    ).rejects.toThrow('killed');
    expect(await overtaker.end()).toBe('outcome_unknown');
    expect(await desk.candidate('cards')).toBeDefined();
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('issued');
    expect(await desk.row('cards')).toMatchObject({ generation: 2, candidate_sealed: null });
  });

  test('does not take the place of one that began later', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    await holdDueToken(desk, 'cards', 'app-1');
    const newer = {
      kind: 'done',
      accessToken: new Secret('newer'),
      refreshToken: new Secret('newer-refresh'),
      expiresInMs: 3_600_000,
    } as const;
    let last: { readonly end: () => Promise<string> } | undefined;
    const older = slow(desk, async () => {
      await desk.makeDue('cards');
      last = await keepCandidate(
        desk,
        'cards',
        isUnknown,
        async () => await Promise.resolve(newer),
      );
    });
    expect(await desk.renew('cards', { as: older })).toBe('overtaken');
    expect((await desk.candidate('cards'))?.pair.accessToken).toBe('newer');
    expect(await last?.end()).toBe('candidate_adopted');
    expect(await desk.accessToken('cards')).toBe('newer');
  });

  test('is not adopted when its life is over', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    await holdDueToken(desk, 'cards', 'app-1');
    const dead = { kind: 'done', accessToken: new Secret('dead'), expiresInMs: 1 } as const;
    const meanwhile = async (): Promise<void> => {
      await desk.makeDue('cards');
      const gateway = { ...desk.gateway, refreshAccessToken: isUnknown };
      expect(await desk.renew('cards', { as: { gateway } })).toBe('outcome_unknown');
    };
    const late = slow(
      desk,
      meanwhile,
      async () => await Promise.resolve({ ...dead, refreshToken: undefined }),
    );
    expect(await desk.renew('cards', { as: late })).toBe('overtaken');
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('refreshed');
  });

  test('that nobody can open any more is none', async ({ openTokenDesk }) => {
    const desk = await openTokenDesk();
    await holdDueToken(desk, 'cards', 'app-1');
    const overtaker = await keepCandidate(desk, 'cards', isUnknown);
    const { id } = await desk.row('cards');
    const { db } = desk.dependencies;
    await db
      .updateTable('access_token')
      .set({ candidate_sealed: 'v1.lost.AAAA' })
      .where('id', '=', id)
      .execute();
    expect(await overtaker.end()).toBe('outcome_unknown');
    await desk.makeDue('cards');
    expect(await desk.renew('cards')).toBe('issued');
  });
});
