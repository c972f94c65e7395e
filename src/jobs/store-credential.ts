import { randomUUID } from 'node:crypto';
import { findAccessToken } from '../db/access-tokens.ts';
import { findCredential } from '../db/credentials.ts';
import type { Actor } from '../domain/audit-entry.ts';
import type { CredentialFamily } from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from './job-dependencies.ts';

/** A credential as an operator or the environment names it. `secrets` has the shape of its family. */
export interface CredentialInput {
  readonly name: string;
  readonly family: CredentialFamily;
  readonly environment: 'sandbox' | 'production';
  readonly account?: string | undefined;
  readonly terminal?: string | undefined;
  readonly secrets: Readonly<Record<string, string | undefined>>;
}

/** What storing a credential came to. */
export type StoreResult = 'added' | 'rotated' | 'unchanged';

type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Seals a credential: adds it, or rotates the one of that name and family when its content differs. Repeating it changes
 * nothing. An OPCard credential gets its access-token row, due at once.
 */
export async function storeCredential(
  dependencies: Dependencies,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult> {
  const { db } = dependencies;
  const present = await findCredential(db, input.name, input.family);
  const result =
    present === undefined
      ? await addCredential(dependencies, input, actor)
      : await rotateCredential(dependencies, present, input, actor);
  if (input.family === 'opcard') await registerAccessToken(dependencies, input.name, actor);
  return result;
}

async function addCredential(
  { keyring, door }: Dependencies,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult> {
  const id = randomUUID();
  const outcome = await door.apply({
    entity: 'credential',
    row: { id, version: 0, state: null },
    event: 'credential.added',
    patch: {
      ...describe(input),
      name: input.name,
      family: input.family,
      secrets_sealed: keyring.seal(placeOf(id), JSON.stringify(input.secrets)),
    },
    audit: { actor },
  });
  // Another process of the same environment may have been first; its row has the same content.
  return outcome.isApplied ? 'added' : 'unchanged';
}

async function rotateCredential(
  { keyring, door }: Dependencies,
  present: NonNullable<Awaited<ReturnType<typeof findCredential>>>,
  input: CredentialInput,
  actor: Actor,
): Promise<StoreResult> {
  if (present.state !== 'active') {
    throw new AppError(
      'state_forbids',
      `The credential "${input.name}" was removed; store the new one under another name.`,
    );
  }
  const opened = keyring.open(placeOf(present.id), present.secrets_sealed).reveal();
  const secrets = JSON.stringify(input.secrets);
  const description = describe(input);
  const isSame =
    opened === secrets &&
    present.environment === description.environment &&
    present.account === description.account &&
    present.terminal === description.terminal;
  if (isSame) return 'unchanged';
  const outcome = await door.apply({
    entity: 'credential',
    row: present,
    event: 'credential.rotated',
    patch: { ...description, secrets_sealed: keyring.seal(placeOf(present.id), secrets) },
    audit: { actor },
  });
  return outcome.isApplied ? 'rotated' : 'unchanged';
}

async function registerAccessToken(
  { db, door }: Dependencies,
  name: string,
  actor: Actor,
): Promise<void> {
  const credential = await findCredential(db, name, 'opcard');
  if (credential === undefined) return;
  if ((await findAccessToken(db, credential.id)) !== undefined) return;
  await door.apply({
    entity: 'access_token',
    row: { id: randomUUID(), version: 0, state: null },
    event: 'access_token.registered',
    patch: { credential_id: credential.id, due_at_in_ms: 0 },
    audit: { actor },
  });
}

function describe(input: CredentialInput): {
  environment: string;
  account: string | null;
  terminal: string | null;
} {
  return {
    environment: input.environment,
    account: input.account ?? null,
    terminal: input.terminal ?? null,
  };
}

function placeOf(rowId: string): { table: string; column: string; rowId: string } {
  return { table: 'credential', column: 'secrets_sealed', rowId };
}
