import { formerCodesOf, withFormerCodes } from '../account/former-codes.ts';
import { openSecrets } from '../account/open-account.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { credentialRotation } from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { type CredentialKey, type CredentialSecrets, parseContent } from './input.ts';
import { getCredentialOfCommands } from './managed-by.ts';
import { type StoreResult, writeCredential } from './store.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Replaces secrets of a credential; fields that are left out stay. Each former secure code keeps
 * verifying signatures until `endOverlap`: the gateway signs with an old code until it has taken
 * over the new one. Throws `payload_invalid`, `credential_not_found`, or `state_forbids` when the
 * environment manages the credential.
 */
export async function rotateCredential(
  dependencies: Dependencies,
  key: CredentialKey,
  content: unknown,
  actor: Actor,
): Promise<StoreResult> {
  const changes = parseContent(credentialRotation[key.family], content);
  return await changeSecrets(dependencies, key, actor, (secrets) => {
    const next = { ...secrets, ...changes };
    const former = secrets['secureCode'];
    if (former === undefined || former === next['secureCode']) return next;
    return withFormerCodes(next, [former, ...formerCodesOf(secrets)]);
  });
}

/**
 * Ends the overlap of a rotation: from now on only the current secure code verifies. Throws
 * `credential_not_found`, `state_forbids` when the environment manages the credential, or
 * `payload_invalid` for a family without an overlap.
 */
export async function endOverlap(
  dependencies: Dependencies,
  key: CredentialKey,
  actor: Actor,
): Promise<StoreResult> {
  if (key.family !== 'accept_payments') {
    throw new AppError('payload_invalid', 'Only Accept Payments has secure codes that overlap.', {
      paths: ['family'],
    });
  }
  return await changeSecrets(dependencies, key, actor, (secrets) => withFormerCodes(secrets, []));
}

/**
 * Applies `change` to the stored secrets; a concurrent change is kept, and `change` is applied to
 * its result.
 */
async function changeSecrets(
  dependencies: Dependencies,
  key: CredentialKey,
  actor: Actor,
  change: (secrets: CredentialSecrets) => CredentialSecrets,
): Promise<StoreResult> {
  return await retryOnStaleVersion(async () => {
    const stored = await getCredentialOfCommands(dependencies.db, key);
    const { environment } = stored;
    const account = stored.account ?? undefined;
    const terminal = stored.terminal ?? undefined;
    const secrets = change(openSecrets(dependencies.keyring, stored));
    const input = { ...key, environment, account, terminal, secrets };
    return await writeCredential(dependencies, stored, input, actor);
  });
}
