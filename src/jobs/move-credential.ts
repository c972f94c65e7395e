import { hasTokenizationsInCharge } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from './job-dependencies.ts';
import type { CredentialInput } from './store-credential.ts';

/**
 * Throws `state_forbids`, with the names of the fields, when the input is of another account, terminal or environment and tokenizations of the
 * stored credential are not over: their calls would go elsewhere, and their messages could no longer be verified.
 */
export async function assertMayMove(
  { db }: Pick<OperationDependencies, 'db'>,
  present: CredentialRow,
  input: CredentialInput,
): Promise<void> {
  if (present.family !== 'accept_payments') return;
  const paths = (['environment', 'account', 'terminal'] as const).filter(
    (field) => present[field] !== (input[field] ?? null),
  );
  if (paths.length === 0 || !(await hasTokenizationsInCharge(db, present.id))) return;
  throw new AppError(
    'state_forbids',
    `The credential "${present.name}" has tokenizations that are not over, and they need its present ${paths.join(', ')}: ` +
      'store the other one under another name, with "token-worker credentials add".',
    { paths },
  );
}
