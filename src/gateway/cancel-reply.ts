import { readEnvelope } from './envelope.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { CancelReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/** Classifies the answer to a cancellation. Its status is kept but not believed: the documented sample still shows `1`. */
export function classifyCancel(reply: RawReply, rules: ReplyRules): CancelReply {
  const envelope = readEnvelope(reply);
  if (envelope.kind !== 'envelope') return envelope;
  const { code, root } = envelope;
  if (code === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  if (rules.retryableCodes.includes(code)) return { kind: 'unknown', cause: 'retryable_code' };
  if (!rules.successCodes.includes(code)) return { kind: 'refused', gatewayCode: code };
  return { kind: 'done', rawStatus: readQuickPay(root, 'data', rules).rawStatus };
}
