import { findCallback } from '../db/callbacks.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import { parseCallback } from '../gateway/callback-message.ts';
import { storableReference, verdictTimeoutMs } from './accept.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { judgeJob } from '../domain/outbox-job.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/**
 * Has a stored message judged again, by the job that judged it first: for use after an operator
 * corrected a signature rule, a secure code or an account. A message that still waits for its
 * verdict is left alone.
 *
 * Throws `callback_not_found`, or `state_forbids` when only an excerpt of the message is stored.
 */
export async function replayCallback(
  { db, door, keyring }: OperationDependencies,
  id: string,
  audit: AuditContext,
): Promise<{ readonly isReplayed: boolean }> {
  const row = await findCallback(db, id);
  if (row === undefined) {
    throw new AppError('callback_not_found', 'No callback has this id.');
  }
  if (row.state === 'received' || row.state === 'matched') return { isReplayed: false };
  const body = keyring.open(sealedPlace('callback', 'body_sealed', id), row.body_sealed).reveal();
  const parsed = parseCallback({ contentType: row.content_type ?? undefined, body });
  if (Buffer.byteLength(body) < row.body_bytes || !parsed.ok) {
    throw new AppError(
      'state_forbids',
      'Only an excerpt of this message is stored, so it cannot be judged again.',
    );
  }
  const { account, terminal, merchantReferenceId, orderReferenceId } = parsed.message.fields;
  const outcome = await door.apply({
    entity: 'callback',
    row,
    event: 'callback.replayed',
    patch: {
      reason: null,
      account: account ?? null,
      terminal: terminal ?? null,
      merchant_reference_id: storableReference(merchantReferenceId),
      order_reference_id: storableReference(orderReferenceId),
      due_at_in_ms: verdictTimeoutMs,
    },
    audit: { ...audit, channel: row.channel },
    jobs: [judgeJob(row.channel, id, row.version + 1)],
  });
  return { isReplayed: outcome.isApplied };
}
