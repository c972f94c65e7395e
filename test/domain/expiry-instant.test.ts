import { describe, expect, test } from 'vitest';
import { expiryInstant, shapeOf } from '../../src/domain/expiry-instant.ts';

const read = (text: string, zone = 'Asia/Shanghai') => expiryInstant(text, zone)?.toISOString();

/** The calendar date that a clock in the zone shows at an instant. */
function createCalendar(timeZone: string): (instant: number) => string {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  return (instant) => format.format(instant);
}

const dayMs = 86_400_000;

describe('the expiry of a token', () => {
  test.each([
    ['2030-10-01', '2030-09-30T16:00:00.000Z'],
    ['2030/10/1', '2030-09-30T16:00:00.000Z'],
    ['2030.10.01', '2030-09-30T16:00:00.000Z'],
    ['20301001', '2030-09-30T16:00:00.000Z'],
    ['2030-10-01 00:00:00', '2030-09-30T16:00:00.000Z'],
    ['2030-10-01 23:59:59', '2030-10-01T15:59:59.000Z'],
    ['2030-10-01 24:00', '2030-10-01T16:00:00.000Z'],
    ['20301001235959', '2030-10-01T15:59:59.000Z'],
    ['2030-10-01T08:30:00.123', '2030-10-01T00:30:00.000Z'],
    ['2030-10-01T08:30:00Z', '2030-10-01T08:30:00.000Z'],
    ['2030-10-01T08:30:00+02:00', '2030-10-01T06:30:00.000Z'],
    ['2030-10-01 08:30:00 -0530', '2030-10-01T14:00:00.000Z'],
    ['2030-10-01 08:30:00+08', '2030-10-01T00:30:00.000Z'],
    ['2030-10-01T08:30-03', '2030-10-01T11:30:00.000Z'],
    ['2030-10-01+08:00', '2030-09-30T16:00:00.000Z'],
    ['2030-10-01Z', '2030-10-01T00:00:00.000Z'],
    [' 2030-10-01 ', '2030-09-30T16:00:00.000Z'],
  ])('%j is read', (text, instant) => {
    expect(read(text)).toBe(instant);
  });

  test.each([
    '',
    'never',
    '0000-00-00',
    '2030-02-30',
    '2030-13-01',
    '2030-10',
    '2030101',
    '01/10/2030',
    '2030-10/01',
    '2030-10-01 25:00:00',
    '2030-10-01 12:60',
    '2030-10-01 noon',
    '2030-10-01 12:00:00 PST',
    '1917000000',
    '2030-10-01 08:30:00+8',
    '2030-10-01 08:30:00+99',
    '2030-10-01 08:30:00+0860',
  ])('%j is not read', (text) => {
    expect(read(text)).toBeUndefined();
  });

  test.each([
    ['2026-04-05', 'Pacific/Auckland', '2026-04-04T11:00:00.000Z'],
    ['2026-09-27', 'Pacific/Auckland', '2026-09-26T12:00:00.000Z'],
    ['2026-09-28', 'Pacific/Auckland', '2026-09-27T11:00:00.000Z'],
    ['2026-10-04', 'Australia/Sydney', '2026-10-03T14:00:00.000Z'],
    ['2026-10-05', 'Australia/Sydney', '2026-10-04T13:00:00.000Z'],
    ['2026-11-01', 'America/New_York', '2026-11-01T04:00:00.000Z'],
    ['2026-11-02', 'America/New_York', '2026-11-02T05:00:00.000Z'],
    // The clock goes from 24:00 to 01:00, so the day has no midnight.
    ['2026-04-24', 'Africa/Cairo', '2026-04-23T22:00:00.000Z'],
    ['2018-11-04', 'America/Sao_Paulo', '2018-11-04T03:00:00.000Z'],
    // The clock goes from 24:00 back to 23:00, so the day before has two last hours.
    ['2018-02-18', 'America/Sao_Paulo', '2018-02-18T03:00:00.000Z'],
    // The time of day comes twice, and the first one counts.
    ['2026-11-01 01:30', 'America/New_York', '2026-11-01T05:30:00.000Z'],
  ])('%s in %s begins when that day begins there, also around a clock change', (...args) => {
    const [date, zone, instant] = args;
    expect(read(date, zone)).toBe(instant);
  });

  test('is the first second with that date on the clock, in every zone on every day of a year', () => {
    const zones = Intl.supportedValuesOf('timeZone');
    expect(zones.length).toBeGreaterThan(400);
    const wrong: string[] = [];
    for (const zone of zones) {
      const dateAt = createCalendar(zone);
      for (let day = Date.UTC(2026, 0, 1); day < Date.UTC(2027, 0, 1); day += dayMs) {
        const date = new Date(day).toISOString().slice(0, 10);
        const start = expiryInstant(date, zone)?.getTime() ?? Number.NaN;
        if (dateAt(start) !== date || dateAt(start - 1) >= date) wrong.push(`${date} ${zone}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('that cannot be read is described by its form, without its values', () => {
    expect(shapeOf('0000-00-00 Ünd X7')).toBe('9999-99-99 aaa a9');
    expect(shapeOf('x'.repeat(1_000))).toHaveLength(40);
  });
});
