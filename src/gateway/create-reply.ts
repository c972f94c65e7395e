import { isHostAllowed } from '../domain/host-allow-list.ts';
import { Secret } from '../security/secret.ts';
import { parseNode, readSuccess } from './envelope.ts';
import { type JsonNode, textAt } from './json-node.ts';
import { readQuickPay } from './quickpay-record.ts';
import type { CreateReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/** The subject of a creation request. A reply about another subject proves nothing. */
export interface CreateSubject {
  readonly account: { readonly account: string; readonly terminal: string };
  readonly reference: string;
}

/**
 * Classifies the reply to a creation. A refusal has no `data`: with a page or a token in it, the
 * code is unclear, and the gateway may have created what it names.
 */
export function classifyCreate(
  reply: RawReply,
  subject: CreateSubject,
  rules: ReplyRules,
): CreateReply {
  const read = readSuccess(reply, rules);
  if (read.kind === 'refused' && hasResult(reply, rules)) {
    return { kind: 'unknown', cause: 'code_unclear', gatewayCode: read.gatewayCode };
  }
  if (read.kind !== 'success') return read;
  const { root } = read;
  if (!isAbout(root, subject)) return { kind: 'unknown', cause: 'reference_mismatch' };

  const orderReferenceId = textAt(root, 'data.order.referenceId');
  const url = textAt(root, 'data.url');
  if (url !== undefined) {
    return isAllowedRedirect(url, rules.redirectHostAllowList)
      ? { kind: 'redirect', url, orderReferenceId }
      : { kind: 'unknown', cause: 'redirect_host', refusedHost: hostOf(url) };
  }
  const { id, status, rawStatus } = readQuickPay(root, 'data', rules);
  if (status === 'failed') {
    return { kind: 'refused', gatewayCode: `status_${rawStatus}`, scope: 'customer' };
  }
  if (id === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  return { kind: 'done', quickpayId: new Secret(id), status, rawStatus, orderReferenceId };
}

function hasResult(reply: RawReply, rules: ReplyRules): boolean {
  const root = reply.kind === 'reply' ? parseNode(reply.body) : undefined;
  if (root === undefined) return false;
  const { id, status } = readQuickPay(root, 'data', rules);
  return textAt(root, 'data.url') !== undefined || (id !== undefined && status !== 'failed');
}

function isAbout(root: JsonNode, { account, reference }: CreateSubject): boolean {
  return (
    isAbsentOr(textAt(root, 'data.account'), account.account) &&
    isAbsentOr(textAt(root, 'data.terminal'), account.terminal) &&
    isAbsentOr(textAt(root, 'data.merchant.referenceId'), reference)
  );
}

function isAbsentOr(value: string | undefined, expected: string): boolean {
  return value === undefined || value === expected;
}

/**
 * Whether a customer may be sent to this URL: an allowed host over https, or http on the loopback
 * interface for a sandbox. Backends get the text unchanged and may parse URLs by other rules, so an
 * ambiguous URL is refused.
 */
function isAllowedRedirect(text: string, allowed: readonly string[]): boolean {
  if (!/^https?:\/\/[^\\\s\p{C}]+$/iu.test(text) || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return false;
  const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
  return isSafe && isHostAllowed(hostname, allowed);
}

/** The host of a refused URL, which the log names; undefined for a text without a host. */
function hostOf(text: string): string | undefined {
  return (URL.canParse(text) && new URL(text).hostname) || undefined;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
}
