/** An access token that was issued. */
export interface IssuedAccessToken {
  readonly appKey: string;
  readonly expiresAtMs: number;
  isRevoked: boolean;
}

/** A refresh token that was issued. */
export interface IssuedRefreshToken {
  readonly appKey: string;
  /** From this time on it is refused; null: never. */
  diesAtMs: number | null;
}

/** All OAuth tokens of a run, in memory, by their text. */
export interface OauthLedger {
  readonly accessTokens: Map<string, IssuedAccessToken>;
  readonly refreshTokens: Map<string, IssuedRefreshToken>;
  /** Pairs issued per application, which makes the next one's text. */
  readonly issuedCounts: Map<string, number>;
}

/** A new, empty ledger. */
export function createOauthLedger(): OauthLedger {
  return { accessTokens: new Map(), refreshTokens: new Map(), issuedCounts: new Map() };
}

/** Whether an access token opens the protected calls at this time. */
export function isAccessTokenValid(ledger: OauthLedger, token: string, nowMs: number): boolean {
  const issued = ledger.accessTokens.get(token);
  return issued !== undefined && !issued.isRevoked && nowMs < issued.expiresAtMs;
}

/** The application of a refresh token that still works; undefined when it is unknown or over. */
export function findRefreshTokenApp(
  ledger: OauthLedger,
  token: string,
  nowMs: number,
): string | undefined {
  const issued = ledger.refreshTokens.get(token);
  if (issued === undefined) return undefined;
  return issued.diesAtMs === null || nowMs < issued.diesAtMs ? issued.appKey : undefined;
}

/** Ends every access token of an application. */
export function revokeAccessTokens(ledger: OauthLedger, appKey: string): void {
  for (const issued of ledger.accessTokens.values()) {
    if (issued.appKey === appKey) issued.isRevoked = true;
  }
}

/** Ends every refresh token of an application. */
export function revokeRefreshTokens(ledger: OauthLedger, appKey: string, atMs: number): void {
  for (const issued of ledger.refreshTokens.values()) {
    if (issued.appKey === appKey) issued.diesAtMs = Math.min(issued.diesAtMs ?? atMs, atMs);
  }
}
