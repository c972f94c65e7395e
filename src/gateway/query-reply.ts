import { Secret } from '../security/secret.ts';
import { readEnvelope } from './envelope.ts';
import { type JsonNode, nodesAt, textAt } from './json-node.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { QueryReply, QuickPayRecord } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/**
 * Classifies the reply to a query. The vendor does not document "not found", so an empty `data` and
 * any code without success count as none. Data that the worker cannot read is unknown: none can
 * lead to a second creation. A record of another account is ignored.
 */
export function classifyQuery(
  reply: RawReply,
  account: { readonly account: string; readonly terminal: string },
  rules: ReplyRules,
): QueryReply {
  const envelope = readEnvelope(reply);
  if (envelope.kind !== 'envelope') return envelope;
  const { code, root } = envelope;
  // Without a code it is unclear whether the gateway understood the query.
  if (code === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  if (rules.retryableCodes.includes(code)) return { kind: 'unknown', cause: 'retryable_code' };
  const nodes = nodesAt(root, 'data');
  const isEmpty = nodes?.length === 0;
  if (!rules.successCodes.includes(code)) {
    return noneOrUnknown({ code, status: envelope.status, isEmpty }, rules);
  }
  if (nodes === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  if (isEmpty) return { kind: 'none', gatewayCode: code };
  const ours = nodes.filter((node) => belongsTo(node, account));
  if (ours.length === 0) return { kind: 'unknown', cause: 'reference_mismatch' };
  return { kind: 'found', records: ours.map((node) => readRecord(node, rules)) };
}

/**
 * Codes of the form API for a wrong or blocked account or terminal. They say nothing of a token.
 */
const configurationCode = /^200(?:0[1-9]|1[0-6])$/;

/** A rejected query must not count as none, because none can lead to a second creation. */
function noneOrUnknown(
  { code, status, isEmpty }: { code: string; status: number; isEmpty: boolean },
  { notFoundCodes }: ReplyRules,
): QueryReply {
  const isRejected = status === 401 || status === 403 || configurationCode.test(code);
  const isNone = notFoundCodes.length === 0 ? isEmpty : notFoundCodes.includes(code);
  return isNone && !isRejected
    ? { kind: 'none', gatewayCode: code }
    : { kind: 'unknown', cause: 'code_unclear' };
}

function belongsTo(
  node: JsonNode,
  { account, terminal }: { account: string; terminal: string },
): boolean {
  const named = textAt(node, 'account') ?? account;
  const namedTerminal = textAt(node, 'terminal') ?? terminal;
  return named === account && namedTerminal === terminal;
}

function readRecord(node: JsonNode, rules: ReplyRules): QuickPayRecord {
  const { id, status, rawStatus } = readQuickPay(node, '', rules);
  return {
    quickpayId: id === undefined ? undefined : new Secret(id),
    status,
    rawStatus,
    expiryTime: textAt(node, 'quickpay.expiryTime', 'quickPay.expiryTime'),
    orderReferenceId: textAt(node, 'order.referenceId'),
    merchantReferenceId: textAt(node, 'merchant.referenceId'),
    customerId: textAt(node, 'customer.id'),
  };
}
