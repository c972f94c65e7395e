import { hasTokenizationsInCharge, hasTokenizationsToRevive } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { CredentialInput } from './store.ts';

/**
 * Throws `state_forbids`, with the names of the fields, when the input is of another account, terminal or environment and tokenizations of the
 * stored credential are not over: their calls would go elsewhere, and their messages could no longer be verified. Those that failed or
 * expired are told from the next ones by account and terminal, so the environment alone does not change while there are any.
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
  if (paths.length === 0) return;
  const isSameAccount = paths.every((path) => path === 'environment');
  const isNeeded =
    (await hasTokenizationsInCharge(db, present.id)) ||
    (isSameAccount && (await hasTokenizationsToRevive(db, present.id)));
  if (!isNeeded) return;
  throw new AppError(
    'state_forbids',
    `The credential "${present.name}" has tokenizations that are not over, and they need its present ${paths.join(', ')}: ` +
      'store the other one under another name, with "token-worker credentials add".',
    { paths },
  );
}
