import { Secret } from '../security/secret.ts';
import { readEnvelope } from './envelope.ts';
import { textAt } from './json-node.ts';
import type { AccessTokenReply, RefusedReply, UnknownReply } from './replies.ts';
import type { ReplyRules } from './reply-rules.ts';
import type { RawReply } from './transport.ts';

/**
 * Classifies the answer to an OAuth call. The names of its fields are not published, so they are looked for at the configured
 * paths. A token without any code counts as success; a success code without a token as unknown.
 */
export function classifyAccessToken(reply: RawReply, rules: ReplyRules): AccessTokenReply {
  const envelope = readEnvelope(reply);
  if (envelope.kind !== 'envelope') return refusalOf(reply, envelope) ?? envelope;
  const { code, root, status } = envelope;
  if (code !== undefined && rules.retryableCodes.includes(code)) {
    return { kind: 'unknown', cause: 'retryable_code' };
  }
  if (code !== undefined && !rules.oauthSuccessCodes.includes(code)) {
    return { kind: 'refused', gatewayCode: code };
  }
  if (status >= 400) return { kind: 'refused', gatewayCode: `http_${status}` };
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

/**
 * OAuth servers refuse with a bare 400 or 401 and no code of the gateway's. A refusal that was none costs only a new token,
 * whereas a dead refresh token that counts as unknown would be tried for ever.
 */
function refusalOf(reply: RawReply, { cause }: UnknownReply): RefusedReply | undefined {
  return reply.kind === 'reply' && reply.status >= 400 && cause === 'body_unreadable'
    ? { kind: 'refused', gatewayCode: `http_${reply.status}` }
    : undefined;
}

function millisecondsOf(seconds: string | undefined): number | undefined {
  const value = Number(seconds);
  return seconds !== undefined && Number.isFinite(value) && value > 0 ? value * 1_000 : undefined;
}
