/** Days before a token's expiry at which the merchant gets a notice. */
export const expiryWarningDays = [30, 7, 1] as const;

const dayMs = 86_400_000;

/**
 * The next instant at which to check a token's expiry: the first notice after `after`, or the
 * expiry itself; undefined past the expiry. A notice that is due already (`dueNotice`) does not
 * count.
 */
export function nextExpiryCheck(expiresAt: Date, after: Date): Date | undefined {
  return [...expiryWarningDays, 0]
    .map((days) => noticeAt(expiresAt, days))
    .find((check) => check > after);
}

/**
 * The notice that is due now, in days before the expiry: the latest whose time has come. Undefined
 * when that one, or a later one, was sent already. `lastSent` is null before the first notice.
 */
export function dueNotice(expiresAt: Date, now: Date, lastSent: number | null): number | undefined {
  const begun = expiryWarningDays.filter((days) => noticeAt(expiresAt, days) <= now);
  const latest = begun.at(-1);
  return latest !== undefined && latest < (lastSent ?? Infinity) ? latest : undefined;
}

/** Days until a token's expiry; a part of a day counts as a day. */
export function daysLeft(expiresAt: Date, now: Date): number {
  return Math.max(0, Math.ceil((expiresAt.getTime() - now.getTime()) / dayMs));
}

/** The first check of a token's expiry. One that lies in the past is due at once. */
export function firstExpiryCheck(expiresAt: Date): Date {
  return noticeAt(expiresAt, expiryWarningDays[0]);
}

function noticeAt(expiresAt: Date, days: number): Date {
  return new Date(expiresAt.getTime() - days * dayMs);
}

/**
 * The notice of a token with so many days left. A late notice keeps its step: with 5 days left, 7.
 */
export function expiryNoticeFor(days: number): (typeof expiryWarningDays)[number] {
  return expiryWarningDays.findLast((step) => step >= days) ?? expiryWarningDays[0];
}
