import { describe, expect, test } from 'vitest';
import {
  bareAddress,
  isInRanges,
  isPublicAddress,
  parseAddressRange,
} from '../../src/security/addresses.ts';

describe('address', () => {
  test.each(['93.184.215.14', '2606:2800:21f::1', '168.63.129.15'])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  test.each([
    '168.63.129.16',
    '::7f00:1',
    '::a9fe:a9fe',
    '::ffff:168.63.129.16',
    '::ffff:a83f:8110',
    '64:ff9b::a83f:8110',
    '0xa83f8110',
    '169.254.169.254',
    '100.100.100.200',
    '192.0.0.192',
    'fd00:ec2::254',
    'fe80::1%eth0',
    'not an address',
    '',
  ])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});

describe('an address as a proxy writes it', () => {
  test.each([
    ['153.254.110.82', '153.254.110.82'],
    ['153.254.110.82:51234', '153.254.110.82'],
    [' 153.254.110.82:1 ', '153.254.110.82'],
    ['::ffff:153.254.110.82:51234', '::ffff:153.254.110.82'],
    ['2001:db8::7', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['[2001:db8::7]:443', '2001:db8::7'],
    ['"[2001:db8::7]:443"', '2001:db8::7'],
    ['[::ffff:192.0.2.7]:443', '::ffff:192.0.2.7'],
    ['2001:db8::7:51234', '2001:db8::7'],
    ['"2001:db8::7:51234"', '2001:db8::7'],
    ['2001:db8:0:0:0:0:0:7:443', '2001:db8:0:0:0:0:0:7'],
    ['2001:db8::7:443', '2001:db8::7:443'],
    ['2001:db8::g:51234', '2001:db8::g:51234'],
    ['"2001:db8::7"', '2001:db8::7'],
    ['unknown', 'unknown'],
    ['', ''],
  ])('%j is %s', (text, address) => {
    expect(bareAddress(text)).toBe(address);
  });

  test.each(['1', 'a', ':', '[', '1.', '[1]:', '"', ' 1'])(
    'a long text of repeated %j is read in a time that grows with its length only',
    (part) => {
      const text = part.repeat(60_000);
      const startedAt = performance.now();
      bareAddress(text);
      expect(performance.now() - startedAt).toBeLessThan(500);
    },
  );
});

describe('address range', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.0/25', '192.0.2.127', true],
    ['192.0.2.0/25', '192.0.2.128', false],
    ['192.0.2.0/25', '::ffff:192.0.2.127', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['::/0', '192.0.2.7', false],
    ['::/0', 'unknown', false],
  ])('%s contains %s: %s', (range, address, isContained) => {
    const parsed = parseAddressRange(range);
    expect(parsed && isInRanges(address, [parsed])).toBe(isContained);
  });

  test.each([
    '',
    '192.0.2',
    '192.0.2.0/33',
    '192.0.2.0/-1',
    '192.0.2.0/',
    '192.0.2.0/8/8',
    '0300.1.1.1',
    '::/129',
    '::ffff:192.0.2.0/120',
    'gateway.example',
    '10.0.0.0/8 ',
  ])('%j is refused', (text) => {
    expect(parseAddressRange(text)).toBeUndefined();
  });
});
