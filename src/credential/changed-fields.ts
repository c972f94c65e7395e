import type { CredentialRow } from '../db/rows.ts';
import type { CredentialInput, CredentialSecrets } from './input.ts';

/** Names of the fields in which the input differs from the stored credential, without values. */
export function changedFields(
  stored: CredentialRow,
  storedSecrets: CredentialSecrets,
  { environment, account, terminal, managedBy = 'command', secrets }: CredentialInput,
): readonly string[] {
  const before: CredentialSecrets = {
    ...storedSecrets,
    environment: stored.environment,
    account: stored.account ?? undefined,
    terminal: stored.terminal ?? undefined,
    managedBy: stored.managed_by,
  };
  const after: CredentialSecrets = { ...secrets, environment, account, terminal, managedBy };
  return Object.keys({ ...before, ...after })
    .filter((field) => before[field] !== after[field])
    .toSorted();
}
