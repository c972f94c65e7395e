import { isNode, type JsonNode, readJson, textAt } from './json-node.ts';
import type { RawReply } from './transport.ts';
import { refusalScopeOf } from './refusal-scope.ts';
import type { RefusedByJsonApi, UnknownReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';

/** A parsed reply: its business code and its whole content. */
export interface Envelope {
  readonly kind: 'envelope';
  readonly code: string | undefined;
  readonly root: JsonNode;
  readonly status: number;
}

/**
 * Reads the envelope `{code, msg | message, data}`. The HTTP status shows only whether the call was
 * delivered, so the code decides about a 2xx or 4xx. A 5xx is unknown, whatever its body says.
 */
export function readEnvelope(reply: RawReply): Envelope | UnknownReply {
  if (reply.kind === 'unknown') return reply;
  const { status } = reply;
  if (status >= 500) return { kind: 'unknown', cause: 'http_5xx' };
  if (status >= 300 && status < 400) return { kind: 'unknown', cause: 'http_redirect' };
  // The gateway did not process the call, and the call itself is not at fault.
  if (status === 408 || status === 429) return { kind: 'unknown', cause: 'retryable_code' };
  const root = parseNode(reply.body);
  const code = root === undefined ? undefined : codeOf(root);
  if (root !== undefined && (code !== undefined || status < 300)) {
    return { kind: 'envelope', code, root, status };
  }
  // A 4xx without a code may come from a proxy, which does not know what the gateway did.
  return { kind: 'unknown', cause: 'body_unreadable' };
}

/** The content of a JSON API reply with a success code; any other reply is a refusal or unknown. */
export function readSuccess(
  reply: RawReply,
  rules: ReplyRules,
): { readonly kind: 'success'; readonly root: JsonNode } | UnknownReply | RefusedByJsonApi {
  const envelope = readEnvelope(reply);
  if (envelope.kind !== 'envelope') return envelope;
  const { code, root, status } = envelope;
  if (code === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  if (rules.retryableCodes.includes(code)) return { kind: 'unknown', cause: 'retryable_code' };
  if (!rules.successCodes.includes(code)) {
    return { kind: 'refused', gatewayCode: code, scope: refusalScopeOf(code, status) };
  }
  return { kind: 'success', root };
}

/**
 * The code of a reply. Undefined for a text that is no code: codes reach audit rows and metrics, so
 * an arbitrary text must not pass, and what can't be read is neither a refusal nor "none".
 */
export function codeOf(root: JsonNode): string | undefined {
  const code = textAt(root, 'code');
  return code === undefined || /^[A-Za-z0-9_.-]{1,32}$/.test(code) ? code : undefined;
}

/** The JSON object of a body; undefined if it is none. */
export function parseNode(body: string): JsonNode | undefined {
  const value = readJson(body);
  return isNode(value) ? value : undefined;
}
