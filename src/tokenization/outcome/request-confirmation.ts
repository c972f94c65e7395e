import { getTokenization } from '../../db/tokenizations.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import { nextState } from '../../domain/transition.ts';
import { tokenizationTransitions } from '../../domain/tokenization.ts';
import { findAccountOf } from '../../account/accounts.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { confirmJob } from '../../domain/outbox-job.ts';
import { firstReconcileStep } from '../row.ts';

/**
 * Enqueues a query of a tokenization's outcome for now, and restarts its query schedule, so that
 * the query survives the loss of its job. Throws `tokenization_not_found`, or `state_forbids` where
 * the gateway has nothing to confirm: before the request is sent, once the token is usable or has
 * ended, and when its credential now belongs to another account.
 */
export async function requestConfirmation(
  dependencies: BackendDependencies,
  tokenizationId: string,
  audit: AuditContext,
): Promise<void> {
  const { db, door, settings } = dependencies;
  await retryOnStaleVersion(async () => {
    const row = await getTokenization(db, tokenizationId);
    const event = 'reconcile.requested';
    if (nextState(tokenizationTransitions, row.state, event) === undefined) {
      throw new AppError('state_forbids', `There is nothing to confirm in state ${row.state}.`);
    }
    if ((await findAccountOf(dependencies, row)) === undefined) {
      throw new AppError(
        'state_forbids',
        'Cannot confirm: the credential of this tokenization now belongs to another account.',
      );
    }
    const outcome = await door.apply({
      entity: 'tokenization',
      row,
      event,
      patch: firstReconcileStep(settings),
      audit,
      jobs: [confirmJob(row.id, row.version + 1)],
    });
    return outcome.isApplied ? true : undefined;
  }, tokenizationId);
}
