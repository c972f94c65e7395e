/** An issued access token. */
export interface IssuedAccessToken {
  readonly appKey: string;
  readonly expiresAtMs: number;
  isRevoked: boolean;
}

/** An issued refresh token. */
export interface IssuedRefreshToken {
  readonly appKey: string;
  /** Null until the token is rotated or revoked. */
  expiresAtMs: number | null;
}

/** All OAuth tokens since the start or the last reset, in memory. */
export interface OauthTokenStore {
  /** By token text. */
  readonly accessTokens: Map<string, IssuedAccessToken>;
  /** By token text. */
  readonly refreshTokens: Map<string, IssuedRefreshToken>;
  /** Token pairs issued per app key. The count seeds the text of the next pair. */
  readonly issuedCounts: Map<string, number>;
}

/** An empty store. */
export function createOauthTokenStore(): OauthTokenStore {
  return { accessTokens: new Map(), refreshTokens: new Map(), issuedCounts: new Map() };
}

/** Whether a protected call accepts the access token at this time. */
export function isAccessTokenValid(
  { accessTokens }: OauthTokenStore,
  token: string,
  nowMs: number,
): boolean {
  const issued = accessTokens.get(token);
  return issued !== undefined && !issued.isRevoked && nowMs < issued.expiresAtMs;
}

/** The app key of a valid refresh token; undefined for an unknown or expired one. */
export function findRefreshTokenAppKey(
  { refreshTokens }: OauthTokenStore,
  token: string,
  nowMs: number,
): string | undefined {
  const issued = refreshTokens.get(token);
  if (issued === undefined) return undefined;
  return issued.expiresAtMs === null || nowMs < issued.expiresAtMs ? issued.appKey : undefined;
}

/** Revokes all access tokens of an application. */
export function revokeAccessTokens({ accessTokens }: OauthTokenStore, appKey: string): void {
  for (const issued of accessTokens.values()) {
    if (issued.appKey === appKey) issued.isRevoked = true;
  }
}

/** Revokes all refresh tokens of an application, also those within their grace time. */
export function revokeRefreshTokens(
  { refreshTokens }: OauthTokenStore,
  appKey: string,
  nowMs: number,
): void {
  for (const issued of refreshTokens.values()) {
    if (issued.appKey === appKey) {
      issued.expiresAtMs = Math.min(issued.expiresAtMs ?? nowMs, nowMs);
    }
  }
}
