import type { z } from 'zod';
import { findCredential } from '../../db/credentials.ts';
import type { TokenizationRow } from '../../db/rows.ts';
import { findTokenization, findTokenizationByReference } from '../../db/tokenizations.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import type { tokenDisablePayload } from '../../domain/payload/job-payloads.ts';
import type { TokenizationState } from '../../domain/tokenization.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { parsePayload } from '../../domain/payload/payload-paths.ts';
import { disableJob } from '../../domain/outbox-job.ts';

/** A token to disable: by the tokenization's id, or by the merchant's reference at one terminal. */
export type DisableTarget = z.infer<typeof tokenDisablePayload>;

/** How long a disabling may make no progress before the scan enqueues it again. */
const takeoverAfterMs = 30_000;

/** The columns that start the schedule of a disabling. */
export const disablingPatch = { reconcile_step: 0, reconcile_at_in_ms: takeoverAfterMs };

/**
 * Commits the intent to disable a token, together with the job that does it. A token that is
 * disabled or being disabled is left as it is. Throws `tokenization_not_found`,
 * `credential_not_found`, or `state_forbids` where there is no token to disable.
 */
export async function disableToken(
  dependencies: BackendDependencies,
  target: DisableTarget,
  audit: AuditContext,
): Promise<{ readonly id: string; readonly state: TokenizationState }> {
  return await retryOnStaleVersion(async () => {
    const row = await findDisableTarget(dependencies, target);
    const isUnderWay = row.state === 'disabling' && row.reconcile_at !== null;
    if (row.state === 'disabled' || isUnderWay) return row;
    if (row.state === 'disabling') return await restartDisabling(dependencies, row, audit);
    if (row.state !== 'active') {
      throw new AppError('state_forbids', `There is no token to disable in state ${row.state}.`);
    }
    const outcome = await dependencies.door.apply({
      entity: 'tokenization',
      row,
      event: 'token.disabling',
      patch: disablingPatch,
      audit,
      jobs: [disableJob(row.id, row.version + 1)],
    });
    return outcome.isApplied ? { id: row.id, state: 'disabling' } : undefined;
  });
}

/** Restarts a disabling whose schedule ended without a result. */
async function restartDisabling(
  { door }: BackendDependencies,
  row: TokenizationRow,
  audit: AuditContext,
): Promise<{ readonly id: string; readonly state: TokenizationState } | undefined> {
  const outcome = await door.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.requested',
    patch: disablingPatch,
    audit,
    jobs: [disableJob(row.id, row.version + 1)],
  });
  return outcome.isApplied ? row : undefined;
}

/** Parses a target. Throws what `parsePayload` throws. */
export function parseDisableTarget(input: unknown): DisableTarget {
  return parsePayload('token.disable', input);
}

/**
 * Finds the tokenization of a target. Throws `tokenization_not_found` or `credential_not_found`.
 */
export async function findDisableTarget(
  { db }: BackendDependencies,
  target: DisableTarget,
): Promise<TokenizationRow> {
  const row =
    'tokenizationId' in target
      ? await findTokenization(db, target.tokenizationId)
      : await findTargetByReference(db, target.merchantReferenceId, target.credential ?? 'default');
  if (row === undefined) {
    throw new AppError('tokenization_not_found', 'There is no such tokenization.');
  }
  return row;
}

async function findTargetByReference(
  db: BackendDependencies['db'],
  merchantReferenceId: string,
  credentialName: string,
): Promise<TokenizationRow | undefined> {
  const credential = await findCredential(db, credentialName, 'accept_payments');
  if (credential === undefined || credential.account === null || credential.terminal === null) {
    throw new AppError('credential_not_found', 'No Accept Payments credential has this name.', {
      paths: ['credential'],
    });
  }
  const { account, terminal } = credential;
  return await findTokenizationByReference(db, { account, terminal, merchantReferenceId });
}
