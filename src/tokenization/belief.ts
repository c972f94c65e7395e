import type { TokenizationRow } from '../db/rows.ts';
import { type Belief, reviewReasons } from '../domain/evidence.ts';

/**
 * What a row says is believed. `now` is the database's clock; without it no deadline counts as over, which is all that a
 * message needs.
 */
export function beliefOf(row: TokenizationRow, now?: Date): Belief {
  return {
    state: row.state,
    isExtendable: row.deadline_at !== null && !row.is_deadline_extended,
    isDeadlineOver: now !== undefined && row.deadline_at !== null && row.deadline_at <= now,
    isAskedSoon: row.reconcile_at !== null && row.reconcile_step === 0,
    review: reviewReasons.find((reason) => reason === row.review) ?? null,
  };
}
