import { Secret } from '../security/secret.ts';
import { readEnvelope } from './envelope.ts';
import { type JsonNode, nodesAt, textAt } from './json-node.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { QueryReply, QuickPayRecord } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/**
 * Classifies the answer to a query. How "not found" looks is not documented: any other code and any empty `data` count as
 * none. A record of another account is not ours to use.
 */
export function classifyQuery(
  reply: RawReply,
  account: { readonly account: string; readonly terminal: string },
  rules: ReplyRules,
): QueryReply {
  const envelope = readEnvelope(reply);
  if (envelope.kind !== 'envelope') return envelope;
  const { code, root } = envelope;
  // Without a code nothing says that the query was understood, so it is no "none" either.
  if (code === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  if (rules.retryableCodes.includes(code)) return { kind: 'unknown', cause: 'retryable_code' };
  if (!rules.successCodes.includes(code)) return noneOrUnknown(code, envelope.status, rules);
  const nodes = nodesAt(root, 'data');
  if (nodes.length === 0) return { kind: 'none', gatewayCode: code };
  const ours = nodes.filter((node) => isOf(node, account));
  if (ours.length === 0) return { kind: 'unknown', cause: 'reference_mismatch' };
  return { kind: 'found', records: ours.map((node) => recordOf(node, rules)) };
}

/** Form-API codes for an account or terminal that is wrong or blocked: they say nothing about the token. */
const configurationCode = /^200(?:0[1-9]|1[0-6])$/;

/** "None" can lead to a second creation, so a query that was turned away must not count as one. */
function noneOrUnknown(code: string, status: number, { notFoundCodes }: ReplyRules): QueryReply {
  const isTurnedAway = status === 401 || status === 403 || configurationCode.test(code);
  const isListed = notFoundCodes.length === 0 || notFoundCodes.includes(code);
  return isListed && !isTurnedAway
    ? { kind: 'none', gatewayCode: code }
    : { kind: 'unknown', cause: 'code_unclear' };
}

function isOf(
  node: JsonNode,
  { account, terminal }: { account: string; terminal: string },
): boolean {
  const named = textAt(node, 'account') ?? account;
  const namedTerminal = textAt(node, 'terminal') ?? terminal;
  return named === account && namedTerminal === terminal;
}

function recordOf(node: JsonNode, rules: ReplyRules): QuickPayRecord {
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
