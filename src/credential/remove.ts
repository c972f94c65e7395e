import { countOpenTokenizations, findCredential } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import { clearForRemovedCredential } from '../access-token/registration.ts';
import { credentialPlace } from '../account/open-account.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { refreshJob } from '../domain/outbox-job.ts';
import type { CredentialKey } from './input.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Removes a credential: nothing is begun with it any more, its access token is forgotten at once. The secrets of OPCard and OPCCOUNT are
 * wiped; those of Accept Payments stay sealed, since tokens that were made with them may have to be disabled.
 *
 * Throws `credential_not_found`, or `state_forbids` while tokenizations of the credential owe a result.
 */
export async function removeCredential(
  dependencies: Dependencies,
  key: CredentialKey,
  actor: Actor,
): Promise<void> {
  const row = await retryOnStaleVersion(async () => await tryToRemove(dependencies, key, actor));
  if (row.family === 'opcard') await clearForRemovedCredential(dependencies, row, actor);
}

/** The row as it was; undefined where it has changed meanwhile, or a tokenization has begun. */
async function tryToRemove(
  { db, door, keyring }: Dependencies,
  { name, family }: CredentialKey,
  actor: Actor,
): Promise<CredentialRow | undefined> {
  const row = await findCredential(db, name, family);
  if (row?.state !== 'active') {
    throw new AppError(
      'credential_not_found',
      'There is no active credential of this name and family.',
    );
  }
  const open = family === 'accept_payments' ? await countOpenTokenizations(db, row.id) : 0;
  if (open > 0) {
    throw new AppError(
      'state_forbids',
      `${open} tokenizations of this credential still owe a result; remove it when they are settled.`,
    );
  }
  const outcome = await door.apply({
    entity: 'credential',
    row,
    event: 'credential.removed',
    patch: {
      app_key_index: null,
      ...(family !== 'accept_payments' && {
        secrets_sealed: keyring.seal(credentialPlace(row.id), '{}'),
      }),
    },
    audit: { actor },
    // Its access token is forgotten also where the process dies before it can do that itself.
    jobs: family === 'opcard' ? [refreshJob(row.id, row.version + 1, name)] : [],
  });
  return outcome.isApplied ? row : undefined;
}
