/**
 * The instant at which a calendar date begins in a time zone; undefined when the text is no date.
 * The gateway names a token's expiry as a date without a zone, so the token counts as expired from
 * the start of that day.
 */
export function startOfDay(date: string, timeZone: string): Date | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) return undefined;
  const midnightUtc = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(midnightUtc.getTime())) return undefined;
  return new Date(midnightUtc.getTime() - offsetMs(midnightUtc, timeZone));
}

/** How far the zone's clock is ahead of UTC at an instant, in milliseconds. */
function offsetMs(instant: Date, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  }).formatToParts(instant);
  const part = (type: Intl.DateTimeFormatPartTypes): number =>
    Number(parts.find((candidate) => candidate.type === type)?.value);
  const local = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  );
  return local - instant.getTime();
}
