import { statusMeaningOf } from '../domain/status-words.ts';
import { type JsonNode, textAt } from './json-node.ts';
import type { QuickPayStatus } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';

/** The token part of a reply. */
export interface QuickPayPart {
  readonly id: string | undefined;
  readonly status: QuickPayStatus;
  /** The status as sent; `absent` if there was none. */
  readonly rawStatus: string;
}

/**
 * Reads the token part below `at`. The gateway names it `quickPay` with a numeric status in a
 * creation, and `quickpay` with a text status in a query. A raw status that is neither a short
 * number nor a configured word becomes `other`, because it reaches audit rows.
 */
export function readQuickPay(node: JsonNode, at: string, rules: ReplyRules): QuickPayPart {
  const below = at === '' ? '' : `${at}.`;
  const id = textAt(node, `${below}quickPay.id`, `${below}quickpay.id`);
  const raw = textAt(node, `${below}quickPay.status`, `${below}quickpay.status`);
  const meaning = statusMeaningOf(raw, rules.statusMap);
  const isPrintable = meaning !== undefined || /^-?\d{1,4}$/.test(raw ?? '');
  return {
    id: id !== undefined && id.length <= 64 ? id : undefined,
    status: meaning ?? 'unknown',
    rawStatus: raw === undefined ? 'absent' : isPrintable ? raw : 'other',
  };
}
