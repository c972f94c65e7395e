import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  findCredential,
  findCredentialByAccount,
  findCredentialByAppKey,
} from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import type { CredentialEnvironment, CredentialFamily } from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import {
  alignAccessToken,
  registerAccessToken,
  retryAccessToken,
} from './access-token-registration.ts';
import { refreshJob } from './access-token-row.ts';
import { applyToPresentRow } from './apply-to-present-row.ts';
import { credentialPlace, openSecrets } from './gateway-accounts.ts';
import type { Keyring } from '../security/keyring.ts';
import type { OperationDependencies } from './job-dependencies.ts';

/** A credential as an operator or the environment names it. `secrets` has the shape of its family. */
export interface CredentialInput {
  readonly name: string;
  readonly family: CredentialFamily;
  readonly environment: CredentialEnvironment;
  readonly account?: string | undefined;
  readonly terminal?: string | undefined;
  readonly secrets: Readonly<Record<string, string | undefined>>;
  /** Digests by field of what the environment says, where it is the environment that says it. */
  readonly configured?: Readonly<Record<string, string>>;
}

/** A stored credential with these secrets, as input. */
export function inputOf(
  { name, family, environment, account, terminal }: CredentialRow,
  secrets: CredentialInput['secrets'],
): CredentialInput {
  return {
    name,
    family,
    environment,
    account: account ?? undefined,
    terminal: terminal ?? undefined,
    secrets,
  };
}

/** What storing a credential came to. */
export type StoreResult = 'added' | 'restored' | 'rotated' | 'unchanged';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Seals a credential: adds it, or rotates the one of that name and family when its content differs. Repeating it changes
 * nothing. An OPCard credential gets its access-token row, due at once; another application under its name starts anew.
 *
 * Throws `credential_conflict` when another credential holds this account and terminal, or this application: two that
 * renew one application's tokens would end each other's. Throws `state_forbids` for a removed name, unless `mayRestore`.
 */
export async function storeCredential(
  dependencies: Dependencies,
  input: CredentialInput,
  actor: Actor,
  { mayRestore = false }: { readonly mayRestore?: boolean } = {},
): Promise<StoreResult> {
  return await applyToPresentRow(async () => {
    const present = await findCredential(dependencies.db, input.name, input.family);
    await assertOnlyOne(dependencies, input, present?.id);
    if (present === undefined) return await addCredential(dependencies, input, actor);
    if (present.state === 'removed' && !mayRestore) {
      throw new AppError(
        'state_forbids',
        `The credential "${input.name}" was removed; store it again with "token-worker credentials add".`,
      );
    }
    return await replaceCredential(dependencies, present, input, actor);
  });
}

/** Throws `credential_conflict` when another credential than `ownId` holds this account and terminal, or this application. */
export async function assertOnlyOne(
  { db, keyring }: Dependencies,
  { family, environment, account, terminal, secrets }: CredentialInput,
  ownId: string | undefined,
): Promise<void> {
  const holder =
    family === 'opcard'
      ? await findCredentialByAppKey(
          db,
          environment,
          appKeyIndexes(keyring, environment, secrets['appKey']),
        )
      : account !== undefined && terminal !== undefined
        ? await findCredentialByAccount(db, account, terminal)
        : undefined;
  if (holder === undefined || holder.id === ownId) return;
  const what = family === 'opcard' ? 'application' : 'account and terminal';
  throw new AppError(
    'credential_conflict',
    `The credential "${holder.name}" already holds this ${what}.`,
    { paths: family === 'opcard' ? ['appKey'] : ['account', 'terminal'] },
  );
}

async function addCredential(
  dependencies: Dependencies,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult> {
  const id = randomUUID();
  const outcome = await dependencies.door.apply({
    entity: 'credential',
    row: { id, version: 0, state: null },
    event: 'credential.added',
    patch: { name: input.name, family: input.family, ...contentOf(dependencies, id, input) },
    audit: { actor },
    jobs: input.family === 'opcard' ? [refreshJob(id, 1, input.name)] : [],
  });
  // Another process of the same environment may have been first; its row has the same content.
  if (!outcome.isApplied) return 'unchanged';
  if (input.family === 'opcard') await registerAccessToken(dependencies, { ...input, id }, actor);
  return 'added';
}

/** Writes the input over a stored credential. Undefined where the row has changed meanwhile, be it only that a backend got it. */
export async function replaceCredential(
  dependencies: Dependencies,
  present: CredentialRow,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult | undefined> {
  const before = openSecrets(dependencies.keyring, present);
  const isRestored = present.state === 'removed';
  const isSameContent = !isRestored && isSame(present, before, input);
  const isConfigured =
    input.configured === undefined || isDeepStrictEqual(input.configured, present.configured_index);
  if (isSameContent && isConfigured) {
    if (input.family === 'opcard') await alignAccessToken(dependencies, present, actor);
    return 'unchanged';
  }
  const content = contentOf(dependencies, present.id, input, present);
  const isOtherApp = content['app_key_index'] !== present.app_key_index;
  const outcome = await dependencies.door.apply({
    entity: 'credential',
    row: present,
    event: isRestored
      ? 'credential.restored'
      : isSameContent
        ? 'credential.configured'
        : 'credential.rotated',
    patch: content,
    audit: { actor },
    // Its access token is seen to also where the process dies before it can do that itself.
    jobs: isOtherApp ? [refreshJob(present.id, present.version + 1, input.name)] : [],
  });
  if (!outcome.isApplied) return undefined;
  if (input.family === 'opcard') {
    await alignAccessToken(dependencies, present, actor);
    await retryAccessToken(dependencies, present, actor);
  }
  return isRestored ? 'restored' : isSameContent ? 'unchanged' : 'rotated';
}

function isSame(
  present: CredentialRow,
  before: Readonly<Record<string, unknown>>,
  { environment, account, terminal, secrets }: CredentialInput,
): boolean {
  return (
    isDeepStrictEqual(before, JSON.parse(JSON.stringify(secrets))) &&
    present.environment === environment &&
    present.account === (account ?? null) &&
    present.terminal === (terminal ?? null)
  );
}

function contentOf(
  { keyring }: Dependencies,
  id: string,
  { family, environment, account, terminal, secrets, configured }: CredentialInput,
  present?: CredentialRow,
): Readonly<Record<string, unknown>> {
  const indexes = appKeyIndexes(keyring, environment, secrets['appKey']);
  // The same application keeps its index, by which its access token is known, also when the key that made it is no longer the first one.
  const kept = indexes.find((index) => index === present?.app_key_index);
  return {
    environment,
    account: account ?? null,
    terminal: terminal ?? null,
    secrets_sealed: keyring.seal(credentialPlace(id), JSON.stringify(secrets)),
    app_key_index: family === 'opcard' ? (kept ?? indexes[0]) : null,
    ...(configured && { configured_index: configured }),
  };
}

/**
 * Digests by which an application may be stored, the present form first. The same app key in the other environment is another
 * application; older rows have a digest that says nothing of the environment.
 */
function appKeyIndexes(
  keyring: Keyring,
  environment: CredentialEnvironment,
  appKey = '',
): readonly string[] {
  return [
    ...keyring.blindIndexes(`app_key ${environment}`, appKey),
    ...keyring.blindIndexes('app_key', appKey),
  ];
}
