import type { TokenizationRow } from '../../db/rows.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import type { MessageEvidence } from '../../domain/evidence.ts';
import type { JobContext } from '../../execution/define-job.ts';
import type { Answer } from '../../gateway/answer.ts';
import type { Secret } from '../../security/secret.ts';
import { queryToken, referencesOf } from '../query-gateway.ts';
import { openQuickpayId } from '../row.ts';

/**
 * A message that counts only once the gateway confirms it, with the tokenization that it is about.
 */
export interface UnconfirmedMessage {
  readonly row: TokenizationRow;
  readonly message: MessageEvidence;
  /** The QuickPay ID that the message names. */
  readonly quickpayId: Secret | undefined;
  readonly receivedAt: Date;
  /** The audit entry of a change that the message leads to. */
  readonly audit: Partial<AuditContext>;
}

/**
 * Queries the token that a message is about. A success is queried by the QuickPay ID that the
 * message names, and the answer counts only for a token of this tokenization. Any other message is
 * queried by the tokenization's own QuickPay ID.
 */
export async function queryTokenOfMessage(
  { row, message, quickpayId }: UnconfirmedMessage,
  context: JobContext<never>,
): Promise<Answer> {
  if (message.says === 'success' && quickpayId !== undefined) {
    const answer = await queryToken(row, { by: 'quickpayId', value: quickpayId }, context);
    const reference = answer.record?.merchantReferenceId;
    const belongsToRow =
      reference === undefined ? message.isSigned : referencesOf(row).includes(reference);
    return answer.says === 'success' && !belongsToRow ? { ...answer, says: 'none' } : answer;
  }
  const own = openQuickpayId(context.keyring, row);
  if (own === undefined) return { says: 'unknown', isOtherToken: false, word: 'no_token' };
  return await queryToken(row, { by: 'quickpayId', value: own }, context);
}
