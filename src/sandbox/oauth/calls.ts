import { z } from 'zod';
import { answerCodes, refusal } from '../answer-codes.ts';
import { attemptCountOf } from '../faults/gateway-call.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { drawAccessToken, drawRefreshToken } from '../seeded-ids.ts';
import { deriveRandom, drawFraction } from '../seeded-random.ts';
import { findRefreshTokenAppKey, revokeAccessTokens, revokeRefreshTokens } from './token-store.ts';

const createBodySchema = z.object({ app_key: z.string(), app_secret: z.string() });
const refreshBodySchema = z.object({ refresh_token: z.string() });

/** The app key of a create call, `invalid` without one. */
export function createCallKey(body: unknown): string {
  const parsed = createBodySchema.safeParse(body);
  return parsed.success ? parsed.data.app_key : 'invalid';
}

/**
 * The app key of a refresh call, even of an expired refresh token; `invalid` for an unknown one.
 */
export function refreshCallKey(context: SandboxContext, body: unknown): string {
  const parsed = refreshBodySchema.safeParse(body);
  if (!parsed.success) return 'invalid';
  return context.oauthTokens.refreshTokens.get(parsed.data.refresh_token)?.appKey ?? 'invalid';
}

/** `POST /open-api/v1/oauth/token/create`: issues a pair for an app key and secret. */
export function createAccessToken(context: SandboxContext, body: unknown): object {
  const parsed = createBodySchema.safeParse(body);
  if (!parsed.success) return refusal('param');
  const { app_key: appKey, app_secret: appSecret } = parsed.data;
  const app = context.options.opcardApps.find((known) => known.appKey === appKey);
  if (app?.appSecret !== appSecret) return refusal('credentials');
  if (isRandomlyRejected(context, 'oauth-create', appKey)) return refusal('credentials');
  if (context.faults.createInvalidates) {
    revokeAccessTokens(context.oauthTokens, appKey);
    revokeRefreshTokens(context.oauthTokens, appKey, Date.now());
  }
  return issueTokens(context, appKey, true);
}

/**
 * `POST /open-api/v1/oauth/token/refresh`: issues the next access token, and a new refresh token
 * under `refreshRotates`.
 */
export function refreshAccessToken(context: SandboxContext, body: unknown): object {
  const parsed = refreshBodySchema.safeParse(body);
  if (!parsed.success) return refusal('param');
  const { oauthTokens, faults } = context;
  const refreshToken = parsed.data.refresh_token;
  const nowMs = Date.now();
  const appKey = findRefreshTokenAppKey(oauthTokens, refreshToken, nowMs);
  if (appKey === undefined || isRandomlyRejected(context, 'oauth-refresh', appKey)) {
    return refusal('refresh-token');
  }
  if (faults.oldAccessTokenDies) revokeAccessTokens(oauthTokens, appKey);
  if (faults.refreshRotates) {
    const issued = oauthTokens.refreshTokens.get(refreshToken);
    // Only the first use starts the grace time: a second one must not extend it.
    if (issued !== undefined) issued.expiresAtMs ??= nowMs + faults.oldRefreshGraceMs;
  }
  return issueTokens(context, appKey, faults.refreshRotates);
}

/** Whether the reject rate refuses this call although its credentials are valid. */
function isRandomlyRejected(
  context: SandboxContext,
  endpoint: 'oauth-create' | 'oauth-refresh',
  appKey: string,
): boolean {
  const [label, rate] =
    endpoint === 'oauth-refresh'
      ? ['refresh-reject', context.faults.refreshRejectRate]
      : ['create-reject', context.faults.createRejectRate];
  const attempt = attemptCountOf(context, endpoint, appKey);
  return drawFraction(deriveRandom(context.seed, label, appKey, String(attempt))) < rate;
}

function issueTokens(context: SandboxContext, appKey: string, hasRefreshToken: boolean): object {
  const { oauthTokens, options } = context;
  const issueNumber = (oauthTokens.issuedCounts.get(appKey) ?? 0) + 1;
  oauthTokens.issuedCounts.set(appKey, issueNumber);
  const random = deriveRandom(context.seed, 'oauth', appKey, String(issueNumber));
  const accessToken = drawAccessToken(random);
  const expiresAtMs = Date.now() + options.accessTokenTtlMs;
  oauthTokens.accessTokens.set(accessToken, { appKey, expiresAtMs, isRevoked: false });
  if (!hasRefreshToken) return tokenAnswer(context, accessToken, undefined);
  const refreshToken = drawRefreshToken(random, appKey, issueNumber);
  oauthTokens.refreshTokens.set(refreshToken, { appKey, expiresAtMs: null });
  return tokenAnswer(context, accessToken, refreshToken);
}

function tokenAnswer(
  context: SandboxContext,
  accessToken: string,
  refreshToken: string | undefined,
): object {
  const { oauthShape, omitExpiresIn, oauthSuccessCode } = context.faults;
  const expiresIn = Math.max(1, Math.floor(context.options.accessTokenTtlMs / 1_000));
  const isCamelCase = oauthShape === 'data.accessToken';
  const envelope = { code: oauthSuccessCode, msg: answerCodes.success.message };
  if (oauthShape === 'result.jwt') {
    const renewal = refreshToken === undefined ? {} : { renewal: refreshToken };
    return { ...envelope, result: { jwt: accessToken, ...renewal, seconds: expiresIn } };
  }
  const tokens = {
    [isCamelCase ? 'accessToken' : 'access_token']: accessToken,
    ...(refreshToken === undefined
      ? {}
      : { [isCamelCase ? 'refreshToken' : 'refresh_token']: refreshToken }),
    ...(omitExpiresIn ? {} : { [isCamelCase ? 'expiresIn' : 'expires_in']: expiresIn }),
  };
  return oauthShape === 'access_token' ? { ...envelope, ...tokens } : { ...envelope, data: tokens };
}
