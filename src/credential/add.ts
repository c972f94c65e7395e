import { formerCodesOf, withFormerCodes } from '../account/former-codes.ts';
import { findCredential } from '../db/credentials.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { credentialContent, type CredentialEnvironment } from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { Keyring } from '../security/keyring.ts';
import { changedFields } from './changed-fields.ts';
import { type CredentialInput, type CredentialKey, parseContent } from './input.ts';
import { assertManagedByCommand } from './managed-by.ts';
import { openStoredSecrets, type StoreResult, writeCredential } from './store.ts';

/**
 * Stores a new credential, or restores a removed one. Throws `payload_invalid` with the paths that
 * failed, `state_forbids` when the environment manages this name, and `credential_conflict` when
 * the name is taken or another credential holds the account and terminal, or the app key.
 */
export async function addCredential(
  dependencies: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  { name, family }: CredentialKey,
  environment: CredentialEnvironment,
  content: unknown,
  actor: Actor,
): Promise<StoreResult> {
  const { account, terminal, ...secrets } = parseContent(credentialContent[family], content);
  const input = { name, family, environment, account, terminal, secrets };
  return await retryOnStaleVersion(async () => {
    const stored = await findCredential(dependencies.db, name, family);
    if (stored === undefined) return await writeCredential(dependencies, stored, input, actor);
    if (stored.state === 'active') {
      assertManagedByCommand(stored);
      throw new AppError(
        'credential_conflict',
        `A credential "${name}" already exists; rotate it instead.`,
        { paths: ['name'] },
      );
    }
    const restored = withCodesOfRemoved(dependencies.keyring, stored, input);
    return await writeCredential(dependencies, stored, restored, actor);
  });
}

/** Messages that were signed with the former secure codes of the same account may still arrive. */
function withCodesOfRemoved(
  keyring: Keyring,
  removed: CredentialRow,
  input: CredentialInput,
): CredentialInput {
  if (input.family !== 'accept_payments') return input;
  const secrets = openStoredSecrets(keyring, removed);
  const isSameAccount = !changedFields(removed, secrets, input).some((field) =>
    ['environment', 'account', 'terminal'].includes(field),
  );
  if (!isSameAccount) return input;
  const codes = [
    ...formerCodesOf(input.secrets),
    ...(secrets['secureCode'] === undefined ? [] : [secrets['secureCode']]),
    ...formerCodesOf(secrets),
  ];
  return { ...input, secrets: withFormerCodes(input.secrets, codes) };
}
