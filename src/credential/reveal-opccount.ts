import { findCredential } from '../db/credentials.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import type { OpccountCredential } from '../domain/payload/api-shapes.ts';
import { credentialContent } from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import { openSecrets } from '../account/open-account.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';

/**
 * Opens an OPCCOUNT credential (protocol section 10) for the backend in `audit`. OPCCOUNT has no
 * tokens: the backend signs each call with the private key. The audit row is committed before the
 * secrets are opened. No other family is opened for a backend. Throws `credential_not_found`.
 */
export async function revealOpccount(
  { db, door, keyring }: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  name: string,
  audit: AuditContext,
): Promise<OpccountCredential> {
  return await retryOnStaleVersion(async () => {
    const row = await findCredential(db, name, 'opccount');
    if (row?.state !== 'active') {
      throw new AppError('credential_not_found', 'No active OPCCOUNT credential has this name.', {
        paths: ['credential'],
      });
    }
    const outcome = await door.apply({
      entity: 'credential',
      row,
      event: 'credential.revealed',
      audit,
    });
    if (!outcome.isApplied) return undefined;
    const content = credentialContent.opccount.parse(openSecrets(keyring, row));
    return { environment: row.environment, ...content };
  }, `opccount ${name}`);
}
