import { Secret } from '../security/secret.ts';
import { codeOf, parseNode, readEnvelope } from './envelope.ts';
import { textAt } from './json-node.ts';
import type { AccessTokenReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/**
 * Classifies the reply to an OAuth call. The vendor does not publish its field names, so the worker
 * tries the configured paths. A token without a code is a success; a success code without a token
 * is unknown.
 *
 * Only a code of the gateway or an error of the OAuth standard is a refusal. A bare 4xx may come
 * from a proxy, and a short proxy fault must not suspend a credential.
 */
export function classifyAccessToken(reply: RawReply, rules: ReplyRules): AccessTokenReply {
  const oauthError = oauthErrorOf(reply);
  if (oauthError !== undefined) return { kind: 'refused', gatewayCode: oauthError };
  const envelope = readEnvelope(reply);
  if (envelope.kind !== 'envelope') return envelope;
  const { code, root, status } = envelope;
  if (code !== undefined && rules.retryableCodes.includes(code)) {
    return { kind: 'unknown', cause: 'retryable_code' };
  }
  if (code !== undefined && !rules.oauthSuccessCodes.includes(code)) {
    return { kind: 'refused', gatewayCode: code };
  }
  if (status >= 400) return { kind: 'unknown', cause: 'code_unclear' };
  const accessToken = textAt(root, ...rules.accessTokenPaths);
  if (accessToken === undefined) return { kind: 'unknown', cause: 'body_unreadable' };
  const refreshToken = textAt(root, ...rules.refreshTokenPaths);
  return {
    kind: 'done',
    accessToken: new Secret(accessToken),
    refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
    expiresInMs: millisecondsOf(textAt(root, ...rules.expiresInPaths)),
  };
}

/** The refusals of an OAuth server in `error` (RFC 6749, section 5.2). */
const oauthErrors: readonly (string | undefined)[] = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
];

/** The OAuth error of a 400 or 401 that has no code of the gateway. */
function oauthErrorOf(reply: RawReply): string | undefined {
  if (reply.kind !== 'reply' || (reply.status !== 400 && reply.status !== 401)) return undefined;
  const root = parseNode(reply.body);
  const error = root && codeOf(root) === undefined ? textAt(root, 'error') : undefined;
  return oauthErrors.includes(error) ? error : undefined;
}

function millisecondsOf(seconds: string | undefined): number | undefined {
  const value = Number(seconds);
  return seconds !== undefined && Number.isFinite(value) && value > 0 ? value * 1_000 : undefined;
}
