/** How many days before its end a token's merchant is told. */
export const expiryWarningDays = [30, 7, 1] as const;

const dayMs = 86_400_000;

/**
 * When a token's end is next to be looked at: at the first notice that lies after `after`, or at the end itself; undefined past
 * the end. A notice that is due already (`dueNotice`) does not count.
 */
export function nextExpiryLook(expiresAt: Date, after: Date): Date | undefined {
  return [...expiryWarningDays, 0]
    .map((days) => noticeAt(expiresAt, days))
    .find((look) => look > after);
}

/**
 * The notice to tell now, in days before the end: the nearest whose time has come, unless it or a nearer one was `told`.
 * `told` is null before the first.
 */
export function dueNotice(expiresAt: Date, now: Date, told: number | null): number | undefined {
  const begun = expiryWarningDays.filter((days) => noticeAt(expiresAt, days) <= now);
  const nearest = begun.at(-1);
  return nearest !== undefined && nearest < (told ?? Infinity) ? nearest : undefined;
}

/** Whole days until a token's end, begun ones counted. */
export function daysLeft(expiresAt: Date, now: Date): number {
  return Math.max(0, Math.ceil((expiresAt.getTime() - now.getTime()) / dayMs));
}

/** The first look at a token's end; one that lies in the past is due at once. */
export function firstExpiryLook(expiresAt: Date): Date {
  return noticeAt(expiresAt, expiryWarningDays[0]);
}

function noticeAt(expiresAt: Date, days: number): Date {
  return new Date(expiresAt.getTime() - days * dayMs);
}

/** Which of the warnings one with so many days left is: a warning that comes late is still that warning. */
export function expiryNotice(days: number): (typeof expiryWarningDays)[number] {
  return expiryWarningDays.findLast((step) => step >= days) ?? expiryWarningDays[0];
}
