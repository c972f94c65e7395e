import {
  type AccessTokenReader,
  openSubscribedReader,
} from '../../../src/access-token/read/reader.ts';
import { eventually } from '../eventually.ts';
import type { TokenHarness } from './token-harness.ts';

/** A backend that reads. */
export const shop = { type: 'backend', id: 'shop' } as const;

/** A reader of one issued token, how its reads ended, and the faults of its subscription. */
export async function withReader(
  harness: TokenHarness,
  databaseUrl: string,
  waitMsMax = 5_000,
): Promise<{ reader: AccessTokenReader; outcomes: string[]; faults: unknown[] }> {
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const outcomes: string[] = [];
  const faults: unknown[] = [];
  const reader = openSubscribedReader({
    ...harness.dependencies,
    databaseUrl,
    waitMsMax,
    onRead: (outcome) => outcomes.push(outcome),
    onFault: (fault) => faults.push(fault),
  });
  // The reader uses its memory only once it is subscribed.
  await eventually('a read from memory', async () => {
    await reader.read('cards', shop);
    return outcomes.at(-1) === 'memory';
  });
  return { reader, outcomes, faults };
}
