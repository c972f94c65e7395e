import { listCallbacks } from '../../src/db/callbacks.ts';
import type { Db } from '../../src/db/connection/database.ts';
import type { CallbackRow } from '../../src/db/rows.ts';
import { eventually } from './eventually.ts';

/** Waits until a callback is in a state, and returns the newest one. */
export async function untilCallback(db: Db, state: CallbackRow['state']): Promise<CallbackRow> {
  return await eventually(
    `a callback becomes ${state}`,
    async () => (await listCallbacks(db, state, 1))[0],
  );
}
