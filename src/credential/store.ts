import { randomUUID } from 'node:crypto';
import { resetIfAppChanged, retryAccessToken } from '../access-token/registration.ts';
import { credentialPlace, openSecrets } from '../account/open-account.ts';
import { findCredential } from '../db/credentials.ts';
import { isUniqueViolation } from '../db/connection/faults.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { TransitionRequest } from '../db/transition-request.ts';
import type { TransitionDoor } from '../db/transition-door.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { errorCodeOf } from '../domain/errors.ts';
import { refreshJob } from '../domain/outbox-job.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { Keyring } from '../security/keyring.ts';
import { changedFields } from './changed-fields.ts';
import type { CredentialInput, CredentialSecrets } from './input.ts';
import { appKeyIndexes, assertCanStore, withUniquenessLock } from './uniqueness.ts';

/**
 * What storing a credential did; `resealed`: only its manager or its encryption key has changed.
 */
export type StoreResult = 'added' | 'restored' | 'rotated' | 'resealed' | 'unchanged';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Stores a credential under its name and family: adds it, restores a removed one, or replaces what
 * differs. Repeating it changes nothing. Throws as `assertCanStore` does.
 */
export async function storeCredential(
  dependencies: Dependencies,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult> {
  return await retryOnStaleVersion(async () => {
    const stored = await findCredential(dependencies.db, input.name, input.family);
    return await writeCredential(dependencies, stored, input, actor);
  });
}

/**
 * Writes the input over the stored row, or adds it. Undefined when that row is stale. An OPCard
 * credential gets an access token that is due at once; another app key under its name resets it.
 * Throws as `assertCanStore` does.
 */
export async function writeCredential(
  dependencies: Dependencies,
  stored: CredentialRow | undefined,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult | undefined> {
  const { keyring, door } = dependencies;
  const paths = stored && changedFields(stored, openStoredSecrets(keyring, stored), input);
  const result = resultOf(keyring, stored, paths);
  const row = stored ?? { id: randomUUID(), version: 0, state: null };
  if (result !== 'unchanged') {
    const appKeyIndex = appKeyIndexOf(keyring, stored, paths, input);
    const isNewApp = appKeyIndex !== (stored?.app_key_index ?? null);
    const isWritten = await withUniquenessLock(dependencies, input, async () => {
      await assertCanStore(dependencies, stored, input);
      return await isApplied(door, {
        entity: 'credential',
        row,
        event: `credential.${result}`,
        patch: { ...columnsOf(keyring, row.id, input), app_key_index: appKeyIndex },
        audit: { actor, detail: paths && { paths } },
        // Renews the access token even when this process dies right after the commit.
        jobs: isNewApp ? [refreshJob(row.id, row.version + 1, input.name)] : [],
      });
    });
    if (!isWritten) return undefined;
  }
  if (input.family === 'opcard') {
    const credential = { ...input, id: row.id };
    await resetIfAppChanged(dependencies, credential, actor);
    if (result !== 'unchanged') await retryAccessToken(dependencies, credential, actor);
  }
  return result;
}

function resultOf(
  keyring: Keyring,
  stored: CredentialRow | undefined,
  paths: readonly string[] = [],
): StoreResult {
  if (stored === undefined) return 'added';
  if (stored.state === 'removed') return 'restored';
  if (paths.some((path) => path !== 'managedBy')) return 'rotated';
  const [, sealedBy] = stored.secrets_sealed.split('.');
  return paths.length > 0 || sealedBy !== keyring.keyIds[0] ? 'resealed' : 'unchanged';
}

/** The same application keeps its digest, under any encryption key: its access token has it too. */
function appKeyIndexOf(
  keyring: Keyring,
  stored: CredentialRow | undefined,
  paths: readonly string[] = [],
  { family, environment, secrets }: CredentialInput,
): string | null {
  if (family !== 'opcard') return null;
  const isSameApp = !paths.includes('appKey') && !paths.includes('environment');
  if (isSameApp && stored?.app_key_index) return stored.app_key_index;
  return appKeyIndexes(keyring, environment, secrets['appKey'])[0] ?? null;
}

function columnsOf(
  keyring: Keyring,
  id: string,
  input: CredentialInput,
): Readonly<Record<string, unknown>> {
  return {
    name: input.name,
    family: input.family,
    environment: input.environment,
    managed_by: input.managedBy ?? 'command',
    account: input.account ?? null,
    terminal: input.terminal ?? null,
    secrets_sealed: keyring.seal(credentialPlace(id), JSON.stringify(input.secrets)),
  };
}

/** Two concurrent writers may both find an account free; the database then refuses the second. */
async function isApplied(
  door: TransitionDoor,
  request: TransitionRequest<'credential'>,
): Promise<boolean> {
  try {
    return (await door.apply(request)).isApplied;
  } catch (error) {
    if (isUniqueViolation(error)) return false;
    throw error;
  }
}

/**
 * The secrets of a stored credential. Empty for a removed one whose encryption key was retired, so
 * that its name can be used again.
 */
export function openStoredSecrets(keyring: Keyring, stored: CredentialRow): CredentialSecrets {
  try {
    return openSecrets(keyring, stored);
  } catch (error) {
    if (stored.state === 'removed' && errorCodeOf(error) === 'key_unknown') return {};
    throw error;
  }
}
