import { listCreationReplies } from '../../db/creation-replies.ts';
import type { Db } from '../../db/connection/database.ts';
import { createRefusalCount, type RefusedInARow, refusalScopes } from '../../domain/refusals.ts';

/** More than the refusals in a row from which every call counts as refused. */
const tokenizationsMax = 20;

/** The refusals in a row of the newest creations, by any worker; undefined: none. */
export async function findRefusedCreations(db: Db): Promise<RefusedInARow | undefined> {
  const count = createRefusalCount();
  for (const row of await listCreationReplies(db, tokenizationsMax)) {
    const { entity_id: subject, reason, gateway_code: code } = row;
    const scope = refusalScopes.find((known) => known === row.refusal_scope) ?? 'unclear';
    count.add(subject, reason === 'refused' && code !== null ? { code, scope } : undefined);
  }
  return count.inARow();
}
