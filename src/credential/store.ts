import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { findCredential } from '../db/credentials.ts';
import { isUniqueViolation } from '../db/faults.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { TransitionOutcome, TransitionRequest } from '../db/transition-door.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { AppError, errorCodeOf } from '../domain/errors.ts';
import type { Keyring } from '../security/keyring.ts';
import {
  resetIfAppChanged,
  registerAccessToken,
  retryAccessToken,
} from '../access-token/registration.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import { formerCodesOf, withFormerCodes } from '../account/former-codes.ts';
import { credentialPlace, openSecrets } from '../account/open-account.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import {
  appKeyIndexes,
  assertUnique,
  withUniquenessLock,
  assertCanChangeAccount,
} from './uniqueness.ts';
import { refreshJob } from '../domain/outbox-job.ts';
import type { CredentialInput } from './input.ts';
import { changedPaths, isSame, isSamePlace, isSameHolder } from './changes.ts';

/** What storing a credential came to. */
export type StoreResult = 'added' | 'restored' | 'rotated' | 'unchanged';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Seals a credential: adds it, or rotates the one of that name and family when its content differs. Repeating it changes
 * nothing. An OPCard credential gets its access-token row, due at once; another application under its name starts anew.
 *
 * Throws `credential_conflict` when another credential holds this account and terminal, or this application: two that
 * renew one application's tokens would end each other's. Throws `state_forbids` for a removed name, and for another account while
 * tokenizations need the present one.
 */
export async function storeCredential(
  dependencies: Dependencies,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult> {
  return await retryOnStaleVersion(async () => {
    const present = await findCredential(dependencies.db, input.name, input.family);
    if (present === undefined) return await createCredential(dependencies, input, actor);
    if (present.state === 'removed') {
      throw new AppError(
        'state_forbids',
        `The credential "${input.name}" was removed; store it again with "token-worker credentials add".`,
      );
    }
    return await replaceCredential(dependencies, present, input, actor);
  });
}

/**
 * Stores the input under a name that is free. Undefined where somebody was first with the name, the account or the application: what is
 * stored is theirs, so the caller looks again. Throws `credential_conflict`.
 */
export async function createCredential(
  dependencies: Dependencies,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult | undefined> {
  const id = randomUUID();
  const outcome = await withUniquenessLock(dependencies, input, async () => {
    await assertUnique(dependencies, input);
    return await dependencies.door.apply({
      entity: 'credential',
      row: { id, version: 0, state: null },
      event: 'credential.added',
      patch: { name: input.name, family: input.family, ...contentOf(dependencies, id, input) },
      audit: { actor },
      jobs: input.family === 'opcard' ? [refreshJob(id, 1, input.name)] : [],
    });
  });
  if (!outcome.isApplied) return undefined;
  if (input.family === 'opcard') await registerAccessToken(dependencies, { ...input, id }, actor);
  return 'added';
}

/**
 * Writes the input over a stored credential. Undefined where the row has changed meanwhile, be it only that a backend got it.
 * Throws as `assertCanReplace` does.
 */
export async function replaceCredential(
  dependencies: Dependencies,
  present: CredentialRow,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult | undefined> {
  const before = secretsBefore(dependencies.keyring, present);
  const isRestored = present.state === 'removed';
  const isSameContent = !isRestored && isSame(present, before, input);
  const isConfigured =
    input.configured === undefined || isDeepStrictEqual(input.configured, present.configured_index);
  if (isSameContent && isConfigured) {
    if (input.family === 'opcard') await resetIfAppChanged(dependencies, present, actor);
    return 'unchanged';
  }
  const isHolderKept = isSameHolder(present, before, input);
  const content = contentOf(
    dependencies,
    present.id,
    input,
    isHolderKept ? present.app_key_index : null,
  );
  const isOtherApp = content['app_key_index'] !== present.app_key_index;
  const request = {
    entity: 'credential',
    row: present,
    event: isRestored
      ? 'credential.restored'
      : isSameContent
        ? 'credential.configured'
        : 'credential.rotated',
    patch: content,
    audit: { actor, detail: isSameContent ? {} : { paths: changedPaths(present, before, input) } },
    // Its access token is seen to also where the process dies before it can do that itself.
    jobs: isOtherApp ? [refreshJob(present.id, present.version + 1, input.name)] : [],
  } as const;
  const outcome = isHolderKept
    ? await dependencies.door.apply(request)
    : await withUniquenessLock(dependencies, input, async () => {
        await assertCanBecome(dependencies, present, input);
        return await applyUnlessTaken(dependencies, input, request);
      });
  if (!outcome.isApplied) return undefined;
  if (input.family === 'opcard') {
    await resetIfAppChanged(dependencies, present, actor);
    await retryAccessToken(dependencies, present, actor);
  }
  return isRestored ? 'restored' : isSameContent ? 'unchanged' : 'rotated';
}

/**
 * Writes the input over a removed credential, otherwise as `replaceCredential`. Secure codes that it had for the same account go on verifying:
 * messages that were signed with them may still be under way.
 */
export async function restoreCredential(
  dependencies: Dependencies,
  removed: CredentialRow,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult | undefined> {
  return await replaceCredential(
    dependencies,
    removed,
    { ...input, secrets: withCodesBefore(dependencies.keyring, removed, input) },
    actor,
  );
}

function withCodesBefore(
  keyring: Keyring,
  removed: CredentialRow,
  input: CredentialInput,
): CredentialInput['secrets'] {
  const { family, secrets } = input;
  if (family !== 'accept_payments' || !isSamePlace(removed, input)) return secrets;
  const before = secretsBefore(keyring, removed);
  const latest = before['secureCode'] === undefined ? [] : [before['secureCode']];
  return withFormerCodes(secrets, [...formerCodesOf(secrets), ...latest, ...formerCodesOf(before)]);
}

/** What is sealed in a row. Nothing in a removed one whose encryption key was retired: its name can be stored again all the same. */
function secretsBefore(keyring: Keyring, row: CredentialRow): CredentialInput['secrets'] {
  try {
    return openSecrets(keyring, row);
  } catch (error) {
    if (row.state === 'removed' && errorCodeOf(error) === 'key_unknown') return {};
    throw error;
  }
}

/**
 * Throws `credential_conflict` where another credential holds what the stored one comes to hold by this input, and `state_forbids` where
 * tokenizations need what it holds now.
 */
export async function assertCanReplace(
  dependencies: Pick<Dependencies, 'db' | 'keyring'>,
  present: CredentialRow,
  input: CredentialInput,
): Promise<void> {
  if (isSameHolder(present, secretsBefore(dependencies.keyring, present), input)) return;
  await assertCanBecome(dependencies, present, input);
}

/** The same, of an input that is known to hold something else. */
async function assertCanBecome(
  dependencies: Pick<Dependencies, 'db' | 'keyring'>,
  present: CredentialRow,
  input: CredentialInput,
): Promise<void> {
  await assertUnique(dependencies, input);
  await assertCanChangeAccount(dependencies, present, input);
}

/** Two that were stored at the same moment can each find the account, or the application, free: then the database refuses one. */
async function applyUnlessTaken(
  dependencies: Dependencies,
  input: CredentialInput,
  request: TransitionRequest<'credential'>,
): Promise<TransitionOutcome> {
  try {
    return await dependencies.door.apply(request);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    await assertUnique(dependencies, input);
    return { isApplied: false };
  }
}

/** @param keptIndex digest of the application that the input is of: it stays, whichever key made it, since the access token is known by it */
function contentOf(
  { keyring }: Dependencies,
  id: string,
  { family, environment, account, terminal, secrets, configured }: CredentialInput,
  keptIndex: string | null = null,
): Readonly<Record<string, unknown>> {
  const [index] = appKeyIndexes(keyring, environment, secrets['appKey']);
  return {
    environment,
    account: account ?? null,
    terminal: terminal ?? null,
    secrets_sealed: keyring.seal(credentialPlace(id), JSON.stringify(secrets)),
    app_key_index: family === 'opcard' ? (keptIndex ?? index) : null,
    ...(configured && { configured_index: configured }),
  };
}
