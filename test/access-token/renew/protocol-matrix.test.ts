import { expect } from 'vitest';
import type { FaultSwitches } from '../../../src/sandbox/sandbox.ts';
import { isFullMatrix } from '../../support/faults/protocol-matrix.ts';
import { test, type TokenHarness } from '../../support/harness/token-harness.ts';

type Switches = Partial<FaultSwitches>;

/** What the gateway's documentation leaves open, each in both ways. */
const unknowns: readonly (readonly Switches[])[] = [
  [{ refreshRotates: true }, { refreshRotates: false }],
  [{ oldRefreshGraceMs: 0 }, { oldRefreshGraceMs: 600_000 }],
  [{ oldAccessTokenDies: false }, { oldAccessTokenDies: true }],
  [{ createInvalidates: false }, { createInvalidates: true }],
];

/** The faults of a call. */
const refreshFaults: Readonly<Record<string, Switches>> = {
  answered: {},
  rejected: { refreshRejectRate: 1 },
  '5xx': { errorRate5xx: 1, faultEndpoints: ['oauth-refresh'] },
  '5xx after effect': { errorAfterEffectRate: 1, faultEndpoints: ['oauth-refresh'] },
  'reset after effect': { resetAfterEffectRate: 1, faultEndpoints: ['oauth-refresh'] },
  'no answer after effect': { hangAfterEffectRate: 1, faultEndpoints: ['oauth-refresh'] },
};
const createFaults: Readonly<Record<string, Switches>> = {
  answered: {},
  rejected: { createRejectRate: 1 },
  '5xx': { errorRate5xx: 1, faultEndpoints: ['oauth-create'] },
  'reset after effect': { resetAfterEffectRate: 1, faultEndpoints: ['oauth-create'] },
};

interface Combination {
  readonly unknown: Switches;
  readonly refresh: string;
  readonly create: string;
  /** Whether the current token expires while the gateway fails. */
  readonly runsOut: boolean;
}

/**
 * Each combination of rules meets each pair of faults. In the short matrix the parity of the rules
 * decides whether the token expires, so any three rules meet each pair of faults in both ways.
 */
const combinations: readonly Combination[] = product(unknowns).flatMap((switches, index) => {
  const unknown: Switches = Object.assign({}, ...switches);
  const expirations = isFullMatrix ? [false, true] : [parityOf(index) === 1];
  return Object.keys(refreshFaults).flatMap((refresh) =>
    // While refreshes are answered no create is sent, so its fault makes no difference.
    (refresh === 'answered' ? ['answered'] : Object.keys(createFaults)).flatMap((create) =>
      expirations.map((runsOut): Combination => ({
        unknown,
        refresh,
        create,
        runsOut,
      })),
    ),
  );
});

const concurrency = 12;

test('in every combination of unknown protocol rules and faults, a valid token is kept, and replaced as soon as the gateway issues a new one', async ({
  openTokenHarness,
}) => {
  expect(combinations.length).toBe(16 * (1 + 5 * 4) * (isFullMatrix ? 2 : 1));
  const queue = [...combinations.entries()].values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      const appKeys = combinations.map((__, index) => `app-${index}`);
      const harness = await openTokenHarness({ appKeys });
      for (const [index, combination] of queue) {
        try {
          await play(harness, `c${index}`, `app-${index}`, combination);
        } catch (error) {
          throw new Error(JSON.stringify(combination), { cause: error });
        }
      }
    }),
  );
}, 300_000);

async function play(
  harness: TokenHarness,
  name: string,
  appKey: string,
  { unknown, refresh, create, runsOut }: Combination,
): Promise<void> {
  harness.sandbox.setFaults({ ...healthy, ...unknown });
  await harness.add(name, appKey);
  expect(await harness.renew(name)).toBe('issued');
  const first = (await harness.accessToken(name)) ?? '';
  harness.sandbox.setFaults(faultsOf(refresh, create));

  for (let run = 1; run <= 3; run += 1) {
    await harness.makeDue(name);
    if (run === 2 && runsOut) await harness.expire(name);
    const isHanging = refresh === 'no answer after effect';
    const result = await harness.renew(
      name,
      isHanging ? { as: { gateway: harness.impatientGateway } } : {},
    );
    // No reply of the gateway takes the token from readers.
    expect(await harness.accessToken(name)).toBeTypeOf('string');
    if (run === 1) expect(result).toBe(firstResult(refresh, create));
  }

  harness.sandbox.setFaults({ ...healthy, ...unknown });
  const { generation } = await harness.row(name);
  await harness.makeDue(name);
  expect(['refreshed', 'issued']).toContain(await harness.renew(name));
  const row = await harness.row(name);
  expect(row).toMatchObject({ state: 'fresh', generation: generation + 1, failures: 0 });
  const last = (await harness.accessToken(name)) ?? '';
  expect(await harness.isGood(last)).toBe(true);
  expect(last).not.toBe(first);
  expect(row.refresh_token_sealed).not.toBeNull();
}

/** A refused refresh is followed by a create in the same run; an unknown outcome is not. */
function firstResult(refresh: string, create: string): string {
  if (refresh === 'answered') return 'refreshed';
  if (refresh !== 'rejected') return 'outcome_unknown';
  if (create === 'answered') return 'issued';
  return create === 'rejected' ? 'suspended' : 'outcome_unknown';
}

const healthy: Switches = {
  refreshRejectRate: 0,
  createRejectRate: 0,
  errorRate5xx: 0,
  errorAfterEffectRate: 0,
  resetAfterEffectRate: 0,
  hangAfterEffectRate: 0,
};

/** A fault of one call is limited to its endpoint, unless both calls have it. */
function faultsOf(refresh: string, create: string): Switches {
  const both = [refreshFaults[refresh] ?? {}, createFaults[create] ?? {}];
  const faultEndpoints = both.flatMap((fault) => fault.faultEndpoints ?? []);
  return { ...both[0], ...both[1], faultEndpoints };
}

/** 1 if an odd number of bits of `index` is set; one bit stands for each axis of a product. */
function parityOf(index: number): number {
  return index === 0 ? 0 : (index & 1) ^ parityOf(index >> 1);
}

function product(axes: readonly (readonly Switches[])[]): readonly (readonly Switches[])[] {
  return axes.reduce<readonly (readonly Switches[])[]>(
    (rows, axis) => rows.flatMap((row) => axis.map((value) => [...row, value])),
    [[]],
  );
}
