import { getTokenization } from '../../db/tokenizations.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import { nextState } from '../../domain/transition.ts';
import { tokenizationTransitions } from '../../domain/tokenization.ts';
import { findCredentialOf } from '../../account/open-account.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { confirmJob } from '../../domain/outbox-job.ts';
import { firstReconcileStep } from '../row.ts';

/**
 * Has the gateway asked now what became of a tokenization, whatever its schedule says; the schedule begins anew, so the
 * question is not lost with its job. Throws `tokenization_not_found`, or `state_forbids` where there is nothing to ask:
 * before the request was sent, once the token works or has ended, and where its credential stands for another account by now.
 */
export async function requestConfirmation(
  { db, door, settings }: BackendDependencies,
  tokenizationId: string,
  audit: AuditContext,
): Promise<void> {
  await retryOnStaleVersion(async () => {
    const row = await getTokenization(db, tokenizationId);
    const event = 'reconcile.requested';
    if (nextState(tokenizationTransitions, row.state, event) === undefined) {
      throw new AppError('state_forbids', `There is nothing to confirm in state ${row.state}.`);
    }
    if ((await findCredentialOf(db, row)) === undefined) {
      throw new AppError(
        'state_forbids',
        'There is nobody to ask: the credential of this tokenization stands for another account by now.',
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
  });
}
