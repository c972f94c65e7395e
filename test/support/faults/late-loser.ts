import { expect } from 'vitest';
import type { GatewayClient } from '../../../src/gateway/client.ts';
import type { JobDependencies } from '../../../src/execution/dependencies.ts';
import type { TokenHarness } from '../harness/token-harness.ts';

type Refresh = GatewayClient['refreshAccessToken'];

/** A worker whose refresh takes effect, but whose reply comes only after `meanwhile`. */
export function slow(
  { gateway }: TokenHarness,
  meanwhile: () => Promise<void>,
  refresh: Refresh = gateway.refreshAccessToken,
): Partial<JobDependencies> {
  return {
    workerId: 'slow',
    gateway: {
      ...gateway,
      refreshAccessToken: async (...call) => {
        const reply = await refresh(...call);
        await meanwhile();
        return reply;
      },
    },
  };
}

/**
 * Has the pair of a late loser kept while another worker, which took its lease over, stands in its call. `end` lets that have its reply, and
 * gives its result.
 */
export async function keepCandidate(
  harness: TokenHarness,
  credential: string,
  reply: () => ReturnType<Refresh>,
  refresh?: Refresh,
): Promise<{ readonly end: () => Promise<string> }> {
  const other = standing(harness, reply);
  let overtaking = Promise.resolve('not begun');
  const late = slow(
    harness,
    async () => {
      await harness.makeDue(credential);
      overtaking = harness.renew(credential, { as: other.dependencies });
      await other.called;
    },
    refresh,
  );
  expect(await harness.renew(credential, { as: late })).toBe('overtaken');
  expect(await harness.row(credential)).toMatchObject({ state: 'refreshing', generation: 1 });
  return {
    async end() {
      other.letGo();
      return await overtaking;
    },
  };
}

/** The reply of a call that nobody knows the outcome of. */
export const isUnknown = async () =>
  await Promise.resolve({ kind: 'unknown', cause: 'timeout' } as const);

/** Another worker that stands in its call until it is let go. */
function standing({ gateway }: TokenHarness, reply: () => ReturnType<Refresh>) {
  const [called, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const dependencies: Partial<JobDependencies> = {
    workerId: 'other',
    gateway: {
      ...gateway,
      refreshAccessToken: async () => {
        called.resolve();
        await go.promise;
        return await reply();
      },
    },
  };
  return { dependencies, called: called.promise, letGo: go.resolve };
}
