/** How long a token lives, all in milliseconds except the fraction. */
export interface AccessTokenLife {
  readonly ttlMs: number;
  readonly skewMs: number;
  readonly dueFraction: number;
}

/** When an access token has to be renewed, and when it must no longer be returned to a reader. */
export interface AccessTokenTimes {
  readonly dueAt: Date;
  readonly expiresAt: Date;
}

const jitterFraction = 0.1;
/** The skew margin may take this share of any life. */
const skewFractionMax = 0.1;
/**
 * A renewal is due after this share of the usable life at the latest, jitter included. It begins
 * before the last tenth, in which a token counts as nearly expired.
 */
const dueShareMax = 0.85;

/**
 * Times of a token whose request started at `startedAt` (database clock). The documented lifetime
 * counts from the gateway's side of the request, so counting from its start errs on the safe side;
 * `skewMs` is the margin for clocks. A shorter lifetime named by the gateway wins over the
 * configured one, and its margin shrinks with it. Whatever the configuration, a renewal is due
 * before the token expires. Only a tiny life that the gateway names ends earlier: a renewal is not
 * due before `expiredCapMs`, so that the gateway is not called without a pause.
 *
 * @param random a number in [0, 1), spreads the refreshes of many credentials over +/- 10 % of the
 * due time
 */
export function accessTokenTimes(
  startedAt: Date,
  life: AccessTokenLife,
  gatewayTtlMs: number | undefined,
  random: number,
): AccessTokenTimes {
  const lifeMs = Math.min(life.ttlMs, gatewayTtlMs ?? life.ttlMs);
  const usableMs = lifeMs - skewOf(lifeMs, life);
  const jitter = 1 + (random * 2 - 1) * jitterFraction;
  const dueMs = jitter * meanDueMs(lifeMs, usableMs, life);
  return {
    dueAt: new Date(startedAt.getTime() + Math.max(dueMs, accessTokenWaits(life).expiredCapMs)),
    expiresAt: new Date(startedAt.getTime() + usableMs),
  };
}

/** When a renewal is due, without jitter. */
function meanDueMs(
  lifeMs: number,
  usableMs: number,
  { dueFraction }: Pick<AccessTokenLife, 'dueFraction'>,
): number {
  return Math.min(lifeMs * dueFraction, (usableMs * dueShareMax) / (1 + jitterFraction));
}

/**
 * The configured margin; of a shorter life it takes the same share, or a tenth where that is more.
 */
function skewOf(lifeMs: number, { ttlMs, skewMs }: AccessTokenLife): number {
  return Math.min(skewMs, lifeMs * Math.max(skewFractionMax, skewMs / ttlMs));
}

/**
 * The longest outage of the gateway, in milliseconds, that no reader notices whenever it begins:
 * what is left of a token whose renewal falls due as late as jitter allows.
 */
export function outageSurvivedMs(life: AccessTokenLife): number {
  const usableMs = life.ttlMs - life.skewMs;
  return Math.round(usableMs - meanDueMs(life.ttlMs, usableMs, life) * (1 + jitterFraction));
}

/** Waits between two calls for one token, in milliseconds. */
export interface AccessTokenWaits {
  /**
   * Before the one quick retry of a call whose outcome is unknown; the back-off doubles it from
   * failure to failure.
   */
  readonly backoffBaseMs: number;
  /**
   * Cap of the back-off while the current token is valid. A caller that asks for renewals in a loop
   * gets one renewal in this time.
   */
  readonly backoffCapMs: number;
  /** Cap of the back-off once the token has expired and readers wait. */
  readonly expiredCapMs: number;
  /**
   * Between two attempts with a credential that the gateway refuses, once its token has expired.
   */
  readonly suspendedRetryMs: number;
}

/**
 * The waits of a token that lives `ttlMs`: shares of its life, so that a test with tokens of
 * seconds meets the same ratios as production. For the documented 60 minutes: 1 s, 60 s, 10 s and
 * 30 min.
 */
export function accessTokenWaits({ ttlMs }: Pick<AccessTokenLife, 'ttlMs'>): AccessTokenWaits {
  const share = (part: number): number => Math.max(10, Math.round(ttlMs / part));
  return {
    backoffBaseMs: share(3_600),
    backoffCapMs: share(60),
    expiredCapMs: share(360),
    suspendedRetryMs: share(2),
  };
}

/**
 * The wait after failure number `failures` (from 1), with full jitter. It never reaches past the
 * middle of what is left of the current token's life, so that no token expires during a long wait.
 *
 * @param leftMs how long the current token is still valid; 0 or less: it has expired
 * @param random a number in [0, 1)
 */
export function renewalBackoffMs(
  { backoffBaseMs, backoffCapMs, expiredCapMs }: AccessTokenWaits,
  failures: number,
  leftMs: number,
  random: number,
): number {
  const capMs = leftMs > 0 ? Math.min(backoffCapMs, leftMs / 2) : expiredCapMs;
  const ceilingMs = Math.min(capMs, backoffBaseMs * 2 ** Math.min(20, failures));
  return Math.max(backoffBaseMs, Math.round(ceilingMs * random));
}

/**
 * The wait of a suspended token. While the current token is valid, the next attempt comes at the
 * middle of what is left of its life, so that a refusal by accident ends before a reader notices;
 * the last such wait is `backoffCapMs`.
 *
 * @param leftMs how long the current token is still valid; 0 or less: it has expired
 */
export function suspendedWaitMs(
  { suspendedRetryMs, backoffCapMs }: AccessTokenWaits,
  leftMs: number,
): number {
  if (leftMs <= 0) return suspendedRetryMs;
  return Math.min(suspendedRetryMs, Math.max(backoffCapMs, Math.round(leftMs / 2)));
}

/** Failures up to which a refused create is followed by a refresh at once. */
const promptFailuresMax = 6;

/** The wait after a create was refused while there is a refresh token that was not. */
export function otherCallWaitMs(
  { backoffBaseMs, backoffCapMs }: AccessTokenWaits,
  failures: number,
): number {
  return failures <= promptFailuresMax ? backoffBaseMs : backoffCapMs;
}

/** The last share of a token's life, in which everything is tried to renew it. */
const lastFraction = 0.1;

/** Whether at most a tenth of a token's life is left. */
export function isNearlyExpired(leftMs: number, lifeMs: number): boolean {
  return leftMs <= lifeMs * lastFraction;
}

/**
 * How far ahead the scan looks for tokens by their expiry, in milliseconds. Tokens that are renewed
 * in time never come this close to it.
 */
export function expiryHorizonMs({ ttlMs }: Pick<AccessTokenLife, 'ttlMs'>): number {
  return ttlMs * lastFraction;
}

/**
 * Shares of a token's life, in percent, at which an overdue renewal is an alarm; 0: it has expired.
 */
export const alarmPercents = [50, 25, 10, 0] as const;
