import { sql } from 'kysely';
import type { Db } from './connection/database.ts';

/** How much waits for an operator. */
export interface WaitingWork {
  readonly deadLetters: number;
  readonly orphans: number;
  readonly heldDeliveries: number;
}

/** Counts what waits for an operator. Each state has an index of its own. */
export async function countWaitingWork(db: Db): Promise<WaitingWork> {
  const { rows } = await sql<WaitingWork>`
    select
      (select count(*)::integer from dead_letter where state = 'dead') as "deadLetters",
      (select count(*)::integer from callback where state = 'orphaned') as "orphans",
      (select count(*)::integer from delivery where state = 'held') as "heldDeliveries"`.execute(
    db,
  );
  return rows[0] ?? { deadLetters: 0, orphans: 0, heldDeliveries: 0 };
}
