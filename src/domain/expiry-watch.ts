/** How many days before its end a token's merchant is told. */
export const expiryWarningDays = [30, 7, 1] as const;

const dayMs = 86_400_000;

/** When to look at a token next: at the first warning, or at its end, that lies after `after`; undefined past its end. */
export function nextExpiryLook(expiresAt: Date, after: Date): Date | undefined {
  const looks = [...expiryWarningDays, 0].map(
    (days) => new Date(expiresAt.getTime() - days * dayMs),
  );
  return looks.find((look) => look > after);
}

/** Whole days until a token's end, begun ones counted. */
export function daysLeft(expiresAt: Date, now: Date): number {
  return Math.max(0, Math.ceil((expiresAt.getTime() - now.getTime()) / dayMs));
}

/** The first look at a token's end; one that lies in the past is due at once. */
export function firstExpiryLook(expiresAt: Date): Date {
  return new Date(expiresAt.getTime() - expiryWarningDays[0] * dayMs);
}

/** Which of the warnings one with so many days left is: a warning that comes late is still that warning. */
export function expiryNotice(days: number): (typeof expiryWarningDays)[number] {
  return expiryWarningDays.findLast((step) => step >= days) ?? expiryWarningDays[0];
}
