import { getTokenization } from '../../db/tokenizations.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import type { Secret } from '../../security/secret.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { openQuickpayId } from '../row.ts';

/**
 * Opens the QuickPay ID of a tokenization for the actor that `audit` names. The audit row is
 * committed first, so every reveal leaves a trace. Throws `tokenization_not_found`, or
 * `state_forbids` where there is no token.
 */
export async function revealToken(
  dependencies: BackendDependencies,
  tokenizationId: string,
  audit: AuditContext,
): Promise<Secret> {
  const { db, door, keyring } = dependencies;
  return await retryOnStaleVersion(async () => {
    const row = await getTokenization(db, tokenizationId);
    if (row.quickpay_id_sealed === null) {
      throw new AppError('state_forbids', `There is no token to reveal in state ${row.state}.`);
    }
    const outcome = await door.apply({
      entity: 'tokenization',
      row,
      event: 'token.revealed',
      audit,
    });
    return outcome.isApplied ? openQuickpayId(keyring, row) : undefined;
  }, tokenizationId);
}
