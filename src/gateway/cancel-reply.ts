import { readSuccess } from './envelope.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { CancelReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/** Classifies the answer to a cancellation. Its status is kept but not believed: the documented sample still shows `1`. */
export function classifyCancel(reply: RawReply, rules: ReplyRules): CancelReply {
  const read = readSuccess(reply, rules);
  if (read.kind !== 'success') return read;
  return { kind: 'done', rawStatus: readQuickPay(read.root, 'data', rules).rawStatus };
}
