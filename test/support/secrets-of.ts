import { findCredential } from '../../src/db/credentials.ts';
import type { CredentialRow } from '../../src/db/rows.ts';
import { openSecrets } from '../../src/account/open-account.ts';
import type { JobDependencies } from '../../src/execution/dependencies.ts';
import type { CredentialKey } from '../../src/credential/input.ts';

/** A stored credential with its opened secrets. */
export async function secretsOf(
  { db, keyring }: Pick<JobDependencies, 'db' | 'keyring'>,
  { name, family }: CredentialKey,
): Promise<{
  readonly row: CredentialRow;
  readonly secrets: Readonly<Record<string, string | undefined>>;
}> {
  const row = await findCredential(db, name, family);
  if (row === undefined) throw new Error('there is no such credential');
  return { row, secrets: openSecrets(keyring, row) };
}
