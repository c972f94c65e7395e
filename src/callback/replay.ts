import { findCallback } from '../db/callbacks.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import { readMessage } from '../gateway/callback-message.ts';
import { storableReference, verdictTimeoutMs } from './accept.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { judgeJob } from '../domain/outbox-job.ts';
import { openEnvelope } from './envelope.ts';

/**
 * Has a stored message judged again, by the job that judged it first: for use after an operator
 * corrected a signature rule, a secure code or an account, or after an update that reads more
 * messages. A message that still waits for its verdict is left alone.
 *
 * Throws `callback_not_found`, or `state_forbids` when only an excerpt of the message is stored, or
 * when this release cannot read it either.
 */
export async function replayCallback(
  { db, door, keyring, settings }: OperationDependencies,
  id: string,
  audit: AuditContext,
): Promise<{ readonly isReplayed: boolean }> {
  const row = await findCallback(db, id);
  if (row === undefined) {
    throw new AppError('callback_not_found', 'No callback has this id.');
  }
  if (row.state === 'received' || row.state === 'matched') return { isReplayed: false };
  const envelope = openEnvelope(keyring, row);
  if (!envelope.isWhole) {
    throw new AppError(
      'state_forbids',
      'Only an excerpt of this message is stored, so it cannot be judged again.',
    );
  }
  const read = readMessage(envelope, settings.messages);
  if (!read.ok) {
    throw new AppError(
      'state_forbids',
      'This release cannot read this message. It stays stored; replay it after an update.',
    );
  }
  const { fields } = read.message;
  const outcome = await door.apply({
    entity: 'callback',
    row,
    event: 'callback.replayed',
    patch: {
      reason: null,
      account: read.account,
      terminal: read.terminal,
      merchant_reference_id: storableReference(fields.merchantReferenceId),
      order_reference_id: storableReference(fields.orderReferenceId),
      due_at_in_ms: verdictTimeoutMs,
    },
    audit: { ...audit, channel: row.channel },
    jobs: [judgeJob(row.channel, id, row.version + 1)],
  });
  return { isReplayed: outcome.isApplied };
}
