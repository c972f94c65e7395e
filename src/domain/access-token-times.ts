/** How long a token lives, all in milliseconds except the fraction. */
export interface AccessTokenLife {
  readonly ttlMs: number;
  readonly skewMs: number;
  readonly dueFraction: number;
}

/** When an access token of a given life has to be renewed and when it must no longer be handed out. */
export interface AccessTokenTimes {
  readonly dueAt: Date;
  readonly expiresAt: Date;
}

const jitterFraction = 0.1;
/** The share of a life that the margin may always have. */
const skewFractionMax = 0.1;

/**
 * Times of a token whose request started at `startedAt` (database clock). The documented lifetime counts from the
 * gateway's side of the request, so counting from its start errs on the safe side; `skewMs` is the margin for clocks.
 * A shorter lifetime named by the gateway wins over the configured one, and its margin shrinks where it would leave little of it. However
 * short the life, a renewal is not due before `renewalSpacingMs`: a gateway must not be hammered because it says so.
 *
 * @param random a number in [0, 1), spreads the refreshes of many credentials over +/- 10 % of the due time
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
  const dueMs = Math.min(lifeMs * life.dueFraction * jitter, usableMs);
  const { renewalSpacingMs } = accessTokenWaits(life);
  return {
    dueAt: new Date(startedAt.getTime() + Math.max(dueMs, renewalSpacingMs)),
    expiresAt: new Date(startedAt.getTime() + usableMs),
  };
}

/** The configured margin, which takes no larger share of a shorter life than of the configured one, or a tenth. */
function skewOf(lifeMs: number, { ttlMs, skewMs }: AccessTokenLife): number {
  return Math.min(skewMs, lifeMs * Math.max(skewFractionMax, skewMs / ttlMs));
}

/**
 * The longest outage of the gateway, in milliseconds, that no reader notices whenever it begins: what is left of a token whose
 * renewal falls due as late as it can.
 */
export function outageSurvivedMs({ ttlMs, skewMs, dueFraction }: AccessTokenLife): number {
  return Math.max(0, Math.round(ttlMs * (1 - dueFraction * (1 + jitterFraction)) - skewMs));
}

/** Waits between two calls for one token, in milliseconds. */
export interface AccessTokenWaits {
  /** Before the one quick retry of a call whose outcome is unknown. */
  readonly quickMs: number;
  /** First ceiling of the back-off after that; it doubles from failure to failure. */
  readonly backoffBaseMs: number;
  /** Highest ceiling of the back-off while the present token is good. */
  readonly backoffCapMs: number;
  /** The same once it has run out and readers wait. */
  readonly expiredCapMs: number;
  /** Between two attempts with a credential that the gateway refuses, once there is no good token. */
  readonly suspendedMs: number;
  /** Between the beginning of one renewal and the next, however short the life that the gateway names. */
  readonly renewalSpacingMs: number;
  /** Between two renewals that somebody asked for, so that a backend in a loop can't make the worker hammer the gateway. */
  readonly spacingMs: number;
}

/**
 * The waits of a token that lives `ttlMs`: shares of its life, so that a test with tokens of seconds meets the same ratios as
 * production. For the documented 60 minutes: 1 s, 2 s, 60 s, 10 s, 30 min, 10 s and 60 s.
 */
export function accessTokenWaits({ ttlMs }: Pick<AccessTokenLife, 'ttlMs'>): AccessTokenWaits {
  const share = (part: number): number => Math.max(10, Math.round(ttlMs / part));
  return {
    quickMs: share(3_600),
    backoffBaseMs: share(1_800),
    backoffCapMs: share(60),
    expiredCapMs: share(360),
    suspendedMs: share(2),
    renewalSpacingMs: share(360),
    spacingMs: share(60),
  };
}

/**
 * The wait after failure number `failures` (from 1), with full jitter. It never reaches past the middle of what is left of the
 * present token's life, so that a token is never lost to a long wait.
 *
 * @param leftMs how long the present token is still good; 0 or less: it is not
 * @param random a number in [0, 1)
 */
export function renewalBackoffMs(
  waits: AccessTokenWaits,
  failures: number,
  leftMs: number,
  random: number,
): number {
  const capMs = leftMs > 0 ? Math.min(waits.backoffCapMs, leftMs / 2) : waits.expiredCapMs;
  const ceilingMs = Math.min(capMs, waits.backoffBaseMs * 2 ** Math.min(20, failures - 1));
  return Math.max(waits.quickMs, Math.round(ceilingMs * random));
}

/**
 * The wait of a suspended token. While the present one is good the gateway is asked again at the middle of what is left, so that a refusal
 * which was an accident ends before any reader meets it; the last such wait is a minute.
 *
 * @param leftMs how long the present token is still good; 0 or less: it is not
 */
export function suspendedWaitMs(waits: AccessTokenWaits, leftMs: number): number {
  if (leftMs <= 0) return waits.suspendedMs;
  return Math.min(waits.suspendedMs, Math.max(waits.spacingMs, Math.round(leftMs / 2)));
}

/** Failures after which the other way is no longer tried at once. */
const untriedFailuresMax = 6;

/** The wait after a create was refused while a refresh token is left that nobody has refused. */
export function untriedWaitMs(waits: AccessTokenWaits, failures: number): number {
  return failures <= untriedFailuresMax ? waits.quickMs : waits.spacingMs;
}

/** Whether a tenth of a token's life is left at most, or nothing. */
export function isNearlyOver(leftMs: number, lifeMs: number): boolean {
  return leftMs <= lifeMs / 10;
}

/** The share of the life of all tokens in which the scan looks for those that run out first, in milliseconds: renewed in time, none gets there. */
export function endingMs({ ttlMs }: Pick<AccessTokenLife, 'ttlMs'>): number {
  return ttlMs * 0.15;
}

/** Shares of a token's life, in percent, at which an overdue renewal is an alarm; 0: it has run out. */
export const alarmPercents = [50, 25, 10, 0] as const;
