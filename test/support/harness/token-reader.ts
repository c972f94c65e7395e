import {
  type AccessTokenReader,
  openSubscribedReader,
} from '../../../src/access-token/read/reader.ts';
import { eventually } from '../eventually.ts';
import type { TokenHarness } from './token-harness.ts';

/** The actor of reads in tests. */
export const shop = { type: 'backend', id: 'shop' } as const;

/** Issues one token and opens a reader, whose outcomes and subscription faults are recorded. */
export async function withReader(
  harness: TokenHarness,
  databaseUrl: string,
  now = () => performance.now(),
): Promise<{ reader: AccessTokenReader; outcomes: string[]; faults: unknown[] }> {
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const outcomes: string[] = [];
  const faults: unknown[] = [];
  const reader = openSubscribedReader({
    ...harness.dependencies,
    listenUrl: databaseUrl,
    now,
    onRead: (outcome) => outcomes.push(outcome),
    onFault: (fault) => faults.push(fault),
  });
  // The reader trusts its cache only while it is subscribed.
  await eventually('a read from the cache', async () => {
    await reader.read('cards', shop);
    return outcomes.at(-1) === 'memory';
  });
  return { reader, outcomes, faults };
}
