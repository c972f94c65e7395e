import { describe, expect, test } from 'vitest';
import { expiryInstant, shapeOf } from '../../src/domain/expiry-instant.ts';

const read = (text: string, zone = 'Asia/Shanghai') => expiryInstant(text, zone)?.toISOString();

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
  ])('%s in %s begins when that day begins there, also around a clock change', (...args) => {
    const [date, zone, instant] = args;
    expect(read(date, zone)).toBe(instant);
  });

  test('that cannot be read is described by its form, without its values', () => {
    expect(shapeOf('0000-00-00 Ünd X7')).toBe('9999-99-99 aaa a9');
    expect(shapeOf('x'.repeat(1_000))).toHaveLength(40);
  });
});
