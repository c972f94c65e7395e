import { withAdvisoryLock } from '../db/connection/advisory-lock.ts';
import {
  findCredentialByAccount,
  findCredentialByAppKey,
  findCredentialsOfOtherKeys,
  type SealedHolder,
  hasOpenOrActiveTokenizations,
  hasReconcilableTokenizations,
} from '../db/credentials.ts';
import type { CredentialEnvironment } from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import type { Keyring } from '../security/keyring.ts';
import { openSecrets } from '../account/open-account.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { CredentialInput } from './input.ts';
import type { CredentialRow } from '../db/rows.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'keyring'>;

/**
 * Serializes check and write of OPCard credentials. Processes whose first encryption keys differ
 * have different digests of one app key, so no unique index can refuse the second one.
 */
export async function withUniquenessLock<Result>(
  { db }: Pick<Dependencies, 'db'>,
  { family }: Pick<CredentialInput, 'family'>,
  work: () => Promise<Result>,
): Promise<Result> {
  return family === 'opcard' ? await withAdvisoryLock(db, 'opcard holders', work) : await work();
}

/**
 * Throws `credential_conflict` when a credential under another name holds this account and
 * terminal, or this app key: two credentials of one application would revoke each other's tokens at
 * each renewal. Throws `state_forbids` when tokenizations need the account that is stored now.
 */
export async function assertCanStore(
  dependencies: Dependencies,
  stored: CredentialRow | undefined,
  input: CredentialInput,
): Promise<void> {
  await assertUnique(dependencies, input);
  if (stored !== undefined) await assertCanChangeAccount(dependencies, stored, input);
}

async function assertUnique(dependencies: Dependencies, input: CredentialInput): Promise<void> {
  const isOpcard = input.family === 'opcard';
  const holder = isOpcard
    ? await findHolderOfApp(dependencies, input)
    : await findHolderOfAccount(dependencies, input);
  if (holder === undefined) return;
  const what = isOpcard ? 'application' : 'account and terminal';
  throw new AppError(
    'credential_conflict',
    `The credential "${holder.name}" already holds this ${what}.`,
    { paths: isOpcard ? ['appKey'] : ['account', 'terminal'] },
  );
}

async function findHolderOfAccount(
  { db }: Dependencies,
  { name, account, terminal }: CredentialInput,
): Promise<{ readonly name: string } | undefined> {
  if (account === undefined || terminal === undefined) return undefined;
  const holder = await findCredentialByAccount(db, account, terminal);
  return holder?.name === name ? undefined : holder;
}

/** Searches by digest; opens only rows whose digest was made with a retired encryption key. */
async function findHolderOfApp(
  { db, keyring }: Dependencies,
  { name, environment, secrets }: CredentialInput,
): Promise<{ readonly name: string } | undefined> {
  const indexes = appKeyIndexes(keyring, environment, secrets['appKey']);
  const holder = await findCredentialByAppKey(db, environment, indexes, name);
  if (holder !== undefined) return holder;
  const others = await findCredentialsOfOtherKeys(db, environment, keyring.keyIds, name);
  return others.find((other) => appKeyOf(keyring, other) === secrets['appKey']);
}

/** Undefined when it cannot be opened: a worker with these keys cannot renew its tokens either. */
function appKeyOf(keyring: Keyring, holder: SealedHolder): string | undefined {
  try {
    return openSecrets(keyring, holder)['appKey'];
  } catch {
    return undefined;
  }
}

/**
 * Digests by which an app key may be stored, the current form first. The same app key in the other
 * environment is another application; older rows have a digest without the environment.
 */
export function appKeyIndexes(
  keyring: Keyring,
  environment: CredentialEnvironment,
  appKey = '',
): readonly string[] {
  return [
    ...keyring.blindIndexes(`app_key ${environment}`, appKey),
    ...keyring.blindIndexes('app_key', appKey),
  ];
}

/**
 * An unfinished tokenization needs its account, terminal and environment for gateway calls and for
 * signatures. The worker recognizes a failed or expired tokenization by account and terminal, so
 * only its environment must stay.
 */
async function assertCanChangeAccount(
  { db }: Dependencies,
  stored: CredentialRow,
  input: CredentialInput,
): Promise<void> {
  if (stored.family !== 'accept_payments') return;
  const paths = (['environment', 'account', 'terminal'] as const).filter(
    (field) => stored[field] !== (input[field] ?? null),
  );
  if (paths.length === 0) return;
  const isSameAccount = paths.every((path) => path === 'environment');
  const isNeeded =
    (await hasOpenOrActiveTokenizations(db, stored.id)) ||
    (isSameAccount && (await hasReconcilableTokenizations(db, stored.id)));
  if (!isNeeded) return;
  throw new AppError(
    'state_forbids',
    `Unfinished tokenizations of the credential "${stored.name}" need its current ${paths.join(', ')}: ` +
      'store the new account as another credential, with "token-worker credentials add".',
    { paths },
  );
}
