import { z } from 'zod';
import { answerCodes, refusal } from '../answer-codes.ts';
import { drawAccessToken, drawRefreshToken } from '../seeded-ids.ts';
import { findRefreshTokenApp, revokeAccessTokens, revokeRefreshTokens } from './token-store.ts';
import { deriveRandom, drawFraction } from '../seeded-random.ts';
import type { SandboxContext } from '../sandbox-context.ts';

const createSchema = z.object({ app_key: z.string(), app_secret: z.string() });
const refreshSchema = z.object({ refresh_token: z.string() });

/** The key under which an OAuth create call is counted. */
export function oauthCreateKey(body: unknown): string {
  const parsed = createSchema.safeParse(body);
  return parsed.success ? parsed.data.app_key : 'invalid';
}

/** The key under which an OAuth refresh call is counted: the application, also of a token that is over. */
export function oauthRefreshKey(context: SandboxContext, body: unknown): string {
  const parsed = refreshSchema.safeParse(body);
  if (!parsed.success) return 'invalid';
  return context.oauth.refreshTokens.get(parsed.data.refresh_token)?.appKey ?? 'invalid';
}

/** `POST /open-api/v1/oauth/token/create`: a first pair for an application. */
export function createAccessToken(context: SandboxContext, body: unknown): object {
  const parsed = createSchema.safeParse(body);
  if (!parsed.success) return refusal('param');
  const { app_key: appKey, app_secret: appSecret } = parsed.data;
  const app = context.options.opcardApps.find((known) => known.appKey === appKey);
  if (app?.appSecret !== appSecret) return refusal('credentials');
  if (isRejected(context, 'oauth-create', appKey)) return refusal('credentials');
  if (context.faults.createInvalidates) {
    revokeAccessTokens(context.oauth, appKey);
    revokeRefreshTokens(context.oauth, appKey, Date.now());
  }
  return issuePair(context, appKey, true);
}

/** `POST /open-api/v1/oauth/token/refresh`: the next access token, with or without a new refresh token. */
export function refreshAccessToken(context: SandboxContext, body: unknown): object {
  const parsed = refreshSchema.safeParse(body);
  if (!parsed.success) return refusal('param');
  const { oauth, faults } = context;
  const presented = parsed.data.refresh_token;
  const nowMs = Date.now();
  const appKey = findRefreshTokenApp(oauth, presented, nowMs);
  if (appKey === undefined || isRejected(context, 'oauth-refresh', appKey))
    return refusal('refresh-token');
  if (faults.oldAccessTokenDies) revokeAccessTokens(oauth, appKey);
  if (faults.refreshRotates) {
    const issued = oauth.refreshTokens.get(presented);
    // A second use inside the grace window must not prolong it.
    if (issued !== undefined) issued.diesAtMs ??= nowMs + faults.oldRefreshGraceMs;
  }
  return issuePair(context, appKey, faults.refreshRotates);
}

/** Whether a call is refused whatever it presents. Each call draws for itself. */
function isRejected(
  { attempts, faults, seed }: SandboxContext,
  endpoint: 'oauth-create' | 'oauth-refresh',
  appKey: string,
): boolean {
  const attempt = String(attempts.get(JSON.stringify([endpoint, appKey])) ?? 0);
  const isRefresh = endpoint === 'oauth-refresh';
  const random = deriveRandom(
    seed,
    isRefresh ? 'refresh-reject' : 'create-reject',
    appKey,
    attempt,
  );
  return drawFraction(random) < (isRefresh ? faults.refreshRejectRate : faults.createRejectRate);
}

function issuePair(context: SandboxContext, appKey: string, hasRefreshToken: boolean): object {
  const { oauth, options } = context;
  const issueNumber = (oauth.issuedCounts.get(appKey) ?? 0) + 1;
  oauth.issuedCounts.set(appKey, issueNumber);
  const random = deriveRandom(context.seed, 'oauth', appKey, String(issueNumber));
  const accessToken = drawAccessToken(random);
  const expiresAtMs = Date.now() + options.accessTokenTtlMs;
  oauth.accessTokens.set(accessToken, { appKey, expiresAtMs, isRevoked: false });
  if (!hasRefreshToken) return answerPair(context, accessToken, undefined);
  const refreshToken = drawRefreshToken(random, appKey, issueNumber);
  oauth.refreshTokens.set(refreshToken, { appKey, diesAtMs: null });
  return answerPair(context, accessToken, refreshToken);
}

function answerPair(
  context: SandboxContext,
  accessToken: string,
  refreshToken: string | undefined,
): object {
  const { oauthShape, omitExpiresIn, oauthSuccessCode } = context.faults;
  const expiresIn = Math.max(1, Math.floor(context.options.accessTokenTtlMs / 1_000));
  const isCamelCase = oauthShape === 'data.accessToken';
  const tokens = {
    [isCamelCase ? 'accessToken' : 'access_token']: accessToken,
    ...(refreshToken === undefined
      ? {}
      : { [isCamelCase ? 'refreshToken' : 'refresh_token']: refreshToken }),
    ...(omitExpiresIn ? {} : { [isCamelCase ? 'expiresIn' : 'expires_in']: expiresIn }),
  };
  const envelope = { code: oauthSuccessCode, msg: answerCodes.success.message };
  return oauthShape === 'access_token' ? { ...envelope, ...tokens } : { ...envelope, data: tokens };
}
