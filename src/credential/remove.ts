import { countOpenTokenizations } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import { clearForRemovedCredential } from '../access-token/registration.ts';
import { credentialPlace } from '../account/open-account.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { refreshJob } from '../domain/outbox-job.ts';
import type { CredentialKey } from './input.ts';
import { getCredentialOfCommands } from './managed-by.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Removes a credential and clears its access token at once. The secrets of OPCard and OPCCOUNT are
 * deleted. Those of Accept Payments stay sealed: the worker may need them to disable tokens.
 *
 * Throws `credential_not_found`, or `state_forbids` when the environment manages the credential or
 * one of its tokenizations has no result yet.
 */
export async function removeCredential(
  dependencies: Dependencies,
  key: CredentialKey,
  actor: Actor,
): Promise<void> {
  const row = await retryOnStaleVersion(async () => await tryToRemove(dependencies, key, actor));
  if (row.family === 'opcard') await clearForRemovedCredential(dependencies, row, actor);
}

/** The row before it was removed. Undefined when it is stale, or a tokenization has begun. */
async function tryToRemove(
  { db, door, keyring }: Dependencies,
  key: CredentialKey,
  actor: Actor,
): Promise<CredentialRow | undefined> {
  const row = await getCredentialOfCommands(db, key);
  const { name, family } = key;
  const open = family === 'accept_payments' ? await countOpenTokenizations(db, row.id) : 0;
  if (open > 0) {
    throw new AppError(
      'state_forbids',
      `${open} tokenizations of this credential have no result yet; remove the credential when they have one.`,
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
    // Clears the access token even when this process dies right after the commit.
    jobs: family === 'opcard' ? [refreshJob(row.id, row.version + 1, name)] : [],
  });
  return outcome.isApplied ? row : undefined;
}
