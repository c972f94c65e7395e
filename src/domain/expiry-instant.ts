import { Temporal } from 'temporal-polyfill';

const dateShape = /^(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})/;
const timeShape = /^[T ]?(\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d{1,9})?)?/i;
/** PostgreSQL and others leave out minutes that are zero. */
const offsetShape = /^ ?(?:Z|UTC|([+-])(\d{2})(?::?(\d{2}))?)$/i;
const minuteMs = 60_000;

/**
 * The instant from which a token counts as expired; undefined when the text is no instant. The
 * vendor documents a date without time and zone, such as `2030-10-01`: the start of that day in the
 * configured zone. A time of day and an offset are read too, in the forms of the gateway's other
 * dates, of ISO 8601, and without separators.
 */
export function expiryInstant(text: string, timeZone: string): Date | undefined {
  const date = dateShape.exec(text.trim());
  if (date === null) return undefined;
  const [whole, year, separator, month, day] = date;
  // Without separators, `2030101` could be two dates.
  if (separator === '' && whole.length !== 8) return undefined;
  const midnight = midnightUtc(Number(year), Number(month), Number(day));
  const rest = text.trim().slice(whole.length);
  if (midnight === undefined || rest === '') return instantOf(midnight, timeZone);
  // A date may have an offset and no time.
  const time = timeShape.exec(rest) ?? ['', '0', '0', '0'];
  const [hour, minute, second] = time.slice(1).map((part) => Number(part ?? 0));
  const isTime = inRange(hour, 24) && inRange(minute, 59) && inRange(second, 60);
  if (!isTime) return undefined;
  const local = midnight + ((hour * 60 + minute) * 60 + second) * 1_000;
  const zone = rest.slice(time[0].length);
  if (zone === '') return instantOf(local, timeZone);
  const offset = offsetShape.exec(zone);
  if (offset === null) return undefined;
  const [offsetHours, offsetMinutes] = offset.slice(2).map((part) => Number(part ?? 0));
  if (!inRange(offsetHours, 14) || !inRange(offsetMinutes, 59)) return undefined;
  const minutes = offsetHours * 60 + offsetMinutes;
  return new Date(local - (offset[1] === '-' ? -minutes : minutes) * minuteMs);
}

/** The form of a text that could not be read, without its values: `0000-00-00` is `9999-99-99`. */
export function shapeOf(text: string): string {
  return text.slice(0, 40).replaceAll(/\d/g, '9').replaceAll(/\p{L}/gu, 'a');
}

function inRange(value: number | undefined, max: number): value is number {
  return value !== undefined && value <= max;
}

/** Undefined for a date that no calendar has, such as `0000-00-00`. */
function midnightUtc(year: number, month: number, day: number): number | undefined {
  const midnight = new Date(Date.UTC(year, month - 1, day));
  const isDate = year > 0 && midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === day;
  return isDate ? midnight.getTime() : undefined;
}

/**
 * The instant at which the clocks of a zone show a local time. Where a change of the clock skips
 * midnight, the day begins after the change.
 */
function instantOf(localMs: number | undefined, timeZone: string): Date | undefined {
  if (localMs === undefined) return undefined;
  const local = Temporal.Instant.fromEpochMilliseconds(localMs).toZonedDateTimeISO('UTC');
  return new Date(local.toPlainDateTime().toZonedDateTime(timeZone).epochMilliseconds);
}
