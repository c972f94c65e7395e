import { readSuccess } from './envelope.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { CancelReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/**
 * Classifies the reply to a cancellation. Its status proves nothing, since the vendor's sample of a
 * successful cancellation still has status `1`; it goes to the audit row only.
 */
export function classifyCancel(reply: RawReply, rules: ReplyRules): CancelReply {
  const read = readSuccess(reply, rules);
  if (read.kind !== 'success') return read;
  return { kind: 'done', rawStatus: readQuickPay(read.root, 'data', rules).rawStatus };
}
