import { withAdvisoryLock } from '../db/advisory-lock.ts';
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
 * Looks for other holders and stores, in `work`, while nobody else does so for an application. Processes whose first encryption keys differ
 * have different digests of one application, so the database alone can't refuse the second; accounts it can.
 */
export async function withUniquenessLock<Result>(
  { db }: Pick<Dependencies, 'db'>,
  { family }: Pick<CredentialInput, 'family'>,
  work: () => Promise<Result>,
): Promise<Result> {
  return family === 'opcard' ? await withAdvisoryLock(db, 'opcard holders', work) : await work();
}

/**
 * Throws `credential_conflict` when a credential under another name holds this account and terminal, or this application. What is stored
 * under the input's own name is no conflict, whoever put it there.
 */
export async function assertUnique(
  dependencies: Dependencies,
  input: CredentialInput,
): Promise<void> {
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

/** By its digest, or opened where the digest is of a key that `ENCRYPTION_KEYS` no longer holds. */
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

/** Undefined where it can't be opened: then no worker with these keys renews its tokens either. */
function appKeyOf(keyring: Keyring, holder: SealedHolder): string | undefined {
  try {
    return openSecrets(keyring, holder)['appKey'];
  } catch {
    return undefined;
  }
}

/**
 * Digests by which an application may be stored, the present form first. The same app key in the other environment is another
 * application; older rows have a digest that says nothing of the environment.
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
 * Throws `state_forbids`, with the names of the fields, when the input is of another account, terminal or environment and tokenizations of the
 * stored credential are not over: their calls would go elsewhere, and their messages could no longer be verified. Those that failed or
 * expired are told from the next ones by account and terminal, so the environment alone does not change while there are any.
 */
export async function assertCanChangeAccount(
  { db }: Pick<OperationDependencies, 'db'>,
  present: CredentialRow,
  input: CredentialInput,
): Promise<void> {
  if (present.family !== 'accept_payments') return;
  const paths = (['environment', 'account', 'terminal'] as const).filter(
    (field) => present[field] !== (input[field] ?? null),
  );
  if (paths.length === 0) return;
  const isSameAccount = paths.every((path) => path === 'environment');
  const isNeeded =
    (await hasOpenOrActiveTokenizations(db, present.id)) ||
    (isSameAccount && (await hasReconcilableTokenizations(db, present.id)));
  if (!isNeeded) return;
  throw new AppError(
    'state_forbids',
    `The credential "${present.name}" has tokenizations that are not over, and they need its present ${paths.join(', ')}: ` +
      'store the other one under another name, with "token-worker credentials add".',
    { paths },
  );
}
