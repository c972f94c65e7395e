import { Secret } from '../security/secret.ts';
import { type Envelope, readEnvelope } from './envelope.ts';
import { isEmptyValue, isPlainText, type JsonNode, nodesAt, textAt } from './json-node.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { QueryReply, QuickPayRecord } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/**
 * Classifies the reply to a query. None can lead to a second creation, so it needs evidence: a
 * delivered success whose envelope holds nothing, or a code that the operator configured. The
 * vendor documents no "not found", and every error has an empty `data`, so any other code is
 * unknown. So is what the worker cannot read, wherever in the reply it stands. A record of another
 * account is ignored.
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
  if (rules.retryableCodes.includes(code)) {
    return { kind: 'unknown', cause: 'retryable_code', gatewayCode: code };
  }
  const unclear = { kind: 'unknown', cause: 'code_unclear', gatewayCode: code } as const;
  const nodes = nodesAt(root, 'data');
  if (!rules.successCodes.includes(code)) {
    return isNotFound(envelope, code, rules) ? { kind: 'none', gatewayCode: code } : unclear;
  }
  if (nodes === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  if (nodes.length === 0) {
    if (!isEmptyEnvelope(root)) return { kind: 'unknown', cause: 'body_unreadable' };
    return envelope.status < 300 ? { kind: 'none', gatewayCode: code } : unclear;
  }
  const ours = nodes.filter((node) => belongsTo(node, account));
  if (ours.length === 0) return { kind: 'unknown', cause: 'reference_mismatch' };
  return { kind: 'found', records: ours.map((node) => readRecord(node, rules)) };
}

/** Whether a code is configured to mean none, and no HTTP status or record contradicts it. */
function isNotFound({ root, status }: Envelope, code: string, rules: ReplyRules): boolean {
  const isRejected = status === 401 || status === 403;
  const hasRecord = nodesAt(root, 'data')?.some(
    (node) => readQuickPay(node, '', rules).rawStatus !== 'absent',
  );
  return rules.notFoundCodes.includes(code) && !isRejected && hasRecord !== true;
}

/**
 * Whether a reply without `data` holds nothing else: a record could stand under another name. Only
 * the documented fields may have a value, and the message only a text or a number.
 */
function isEmptyEnvelope(root: JsonNode): boolean {
  return Object.entries(root).every(([name, value]) => {
    if (name === 'code' || name === 'data') return true;
    if (name === 'msg' || name === 'message') return isEmptyValue(value) || isPlainText(value);
    return isEmptyValue(value);
  });
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
