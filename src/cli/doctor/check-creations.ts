import type { Db } from '../../db/connection/database.ts';
import { refusalRemedy } from '../../domain/refusals.ts';
import { findRefusedCreations } from '../../tokenization/read/refused-creations.ts';
import { say } from './say.ts';

/** Reports whether the gateway refuses every creation, as the audit rows of all workers show. */
export async function checkCreations(db: Db): Promise<void> {
  const refused = await findRefusedCreations(db);
  if (refused?.isEvery !== true) return say(true, 'the gateway does not refuse every creation');
  say(
    false,
    `the gateway refused the last ${refused.count} creations (code ${refused.code}): ${refusalRemedy(refused)}`,
  );
}
