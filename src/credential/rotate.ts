import type { z } from 'zod';
import { findCredential } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import {
  type CredentialEnvironment,
  credentialContent,
  credentialRotation,
} from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import { openSecrets } from '../account/open-account.ts';
import { formerCodesOf, withFormerCodes } from '../account/former-codes.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { pathsOf } from '../domain/payload-paths.ts';
import {
  createCredential,
  replaceCredential,
  restoreCredential,
  type StoreResult,
} from './store.ts';
import { type CredentialKey, type CredentialInput, inputOf } from './input.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Stores a new credential, or one whose name was removed; the secure codes that it had for the same account then verify on.
 * Throws `payload_invalid` with the paths that failed, `credential_conflict`
 * when the name is taken, be it at this moment, or another credential holds the same account and terminal, or application.
 */
export async function addCredential(
  dependencies: Dependencies,
  { name, family }: CredentialKey,
  environment: CredentialEnvironment,
  content: unknown,
  actor: Actor,
): Promise<StoreResult> {
  const { account, terminal, ...secrets } = parse(credentialContent[family], content);
  const input = { name, family, environment, account, terminal, secrets };
  return await retryOnStaleVersion(async () => {
    const present = await findCredential(dependencies.db, name, family);
    if (present === undefined) return await createCredential(dependencies, input, actor);
    if (present.state === 'active') {
      throw new AppError(
        'credential_conflict',
        `There is a credential "${name}"; rotate it instead.`,
        { paths: ['name'] },
      );
    }
    return await restoreCredential(dependencies, present, input, actor);
  });
}

/**
 * Replaces secrets of a credential. What is left out stays. Every former secure code goes on verifying signatures until
 * `endOverlap` forgets them: the gateway signs with an old one until it has taken over the new one, however often that was corrected.
 * Throws `payload_invalid` or `credential_not_found`.
 */
export async function rotateCredential(
  dependencies: Dependencies,
  { name, family }: CredentialKey,
  content: unknown,
  actor: Actor,
): Promise<StoreResult> {
  const changes = parse(credentialRotation[family], content);
  return await changeSecrets(dependencies, { name, family }, actor, (secrets) => {
    const next = { ...secrets, ...changes };
    const former = secrets['secureCode'];
    if (former === undefined || former === next['secureCode']) return next;
    return withFormerCodes(next, [former, ...formerCodesOf(secrets)]);
  });
}

/**
 * Ends the overlap of a rotation: only the current secure code verifies from now on. Throws `credential_not_found`, or
 * `payload_invalid` for a family that knows no overlap.
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

type Secrets = CredentialInput['secrets'];

/** Changes secrets as they are at the moment: of two changes at the same time, the second is made on what the first has left. */
async function changeSecrets(
  dependencies: Dependencies,
  key: CredentialKey,
  actor: Actor,
  change: (secrets: Secrets) => Secrets,
): Promise<StoreResult> {
  return await retryOnStaleVersion(async () => {
    const { row, secrets } = await getActive(dependencies, key);
    return await replaceCredential(dependencies, row, inputOf(row, change(secrets)), actor);
  });
}

async function getActive(
  { db, keyring }: Dependencies,
  { name, family }: CredentialKey,
): Promise<{ row: CredentialRow; secrets: Secrets }> {
  const row = await findCredential(db, name, family);
  if (row?.state !== 'active') {
    throw new AppError(
      'credential_not_found',
      'There is no active credential of this name and family.',
    );
  }
  return { row, secrets: openSecrets(keyring, row) };
}

function parse(schema: z.ZodType, content: unknown): Readonly<Record<string, string | undefined>> {
  const parsed = schema.safeParse(content);
  // Each family's schema is an object of texts.
  if (parsed.success) return parsed.data as Readonly<Record<string, string | undefined>>;
  throw new AppError('payload_invalid', 'The content does not fit this family of credentials.', {
    paths: pathsOf(parsed.error.issues),
  });
}
