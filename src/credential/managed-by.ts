import { findCredential } from '../db/credentials.ts';
import type { Db } from '../db/connection/database.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { CredentialKey } from './input.ts';

/** An active credential. Throws `credential_not_found`. */
async function getActiveCredential(db: Db, { name, family }: CredentialKey) {
  const row = await findCredential(db, name, family);
  if (row?.state === 'active') return row;
  throw new AppError(
    'credential_not_found',
    'There is no active credential of this name and family.',
  );
}

/**
 * An active credential that is managed by command. Throws `credential_not_found`, or
 * `state_forbids` with what to do instead.
 */
export async function getCredentialOfCommands(db: Db, key: CredentialKey): Promise<CredentialRow> {
  const row = await getActiveCredential(db, key);
  assertManagedByCommand(row);
  return row;
}

/** Throws `state_forbids`, with what to do instead, when the environment manages the credential. */
export function assertManagedByCommand({ name, family, managed_by: manager }: CredentialRow): void {
  if (manager === 'command') return;
  throw new AppError(
    'state_forbids',
    `The credential "${name}" is managed by the environment: change its ${variables[family]} variables and restart the worker. ` +
      'If no process names it any more, make it managed by command with ' +
      `"token-worker credentials release ${name} --family ${family}".`,
  );
}

const variables = {
  accept_payments: 'OCEANPAYMENT_*',
  opcard: 'OPCARD_*',
  opccount: 'OPCCOUNT_*',
} as const;

/**
 * Hands a credential over from environment variables to commands. Its content stays. The next start
 * whose environment variables name the credential makes it managed by environment again. Throws
 * `credential_not_found`.
 */
export async function releaseCredential(
  { db, door }: Pick<OperationDependencies, 'db' | 'door'>,
  key: CredentialKey,
  actor: Actor,
): Promise<'released' | 'unchanged'> {
  return await retryOnStaleVersion(async () => {
    const row = await getActiveCredential(db, key);
    if (row.managed_by === 'command') return 'unchanged';
    const { isApplied } = await door.apply({
      entity: 'credential',
      row,
      event: 'credential.released',
      patch: { managed_by: 'command' },
      audit: { actor, detail: { paths: ['managedBy'] } },
    });
    return isApplied ? 'released' : undefined;
  });
}
