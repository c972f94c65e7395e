import { randomUUID } from 'node:crypto';
import { findApiKey } from '../../db/api-keys.ts';
import { apiKeyName, type ApiScope } from '../../domain/api-key.ts';
import type { Actor } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import { apiKeyDigest, generateApiKey } from '../../security/api-key.ts';
import type { Secret } from '../../security/secret.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'door'>;

/**
 * Creates an API key and stores its digest. The key is returned once and stored nowhere. Throws
 * `payload_invalid` for an invalid name and `state_forbids` for a name that was used before.
 */
export async function addApiKey(
  { door }: Dependencies,
  { name, scopes }: { readonly name: string; readonly scopes: readonly ApiScope[] },
  actor: Actor,
): Promise<Secret> {
  if (!apiKeyName.safeParse(name).success) {
    throw new AppError(
      'payload_invalid',
      'Name the key with lower-case letters, digits, - and _, at most 32.',
      { paths: ['name'] },
    );
  }
  const key = generateApiKey();
  const outcome = await door.apply({
    entity: 'api_key',
    row: { id: randomUUID(), version: 0, state: null },
    event: 'api_key.added',
    patch: { name, key_sha256: apiKeyDigest(key.reveal()), scopes },
    audit: { actor, detail: { scopes } },
  });
  if (outcome.isApplied) return key;
  throw new AppError(
    'state_forbids',
    'A key had this name before; choose a new name, since audit rows refer to keys by name.',
    { paths: ['name'] },
  );
}

/**
 * Revokes a stored key; a second call changes nothing. Throws `api_key_not_found`, also for a key
 * in `API_KEYS`, which stays valid until it is removed there.
 */
export async function revokeApiKey(
  { db, door }: Dependencies,
  name: string,
  actor: Actor,
): Promise<void> {
  const row = await findApiKey(db, name);
  if (row === undefined) {
    throw new AppError(
      'api_key_not_found',
      'No stored key has this name; revoke a key of API_KEYS by removing its entry.',
      { paths: ['name'] },
    );
  }
  if (row.state === 'revoked') return;
  await door.apply({ entity: 'api_key', row, event: 'api_key.revoked', audit: { actor } });
}
