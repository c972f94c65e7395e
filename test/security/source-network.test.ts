import { describe, expect, test } from 'vitest';
import { networkOfSender } from '../../src/security/source-network.ts';

describe('one sender', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:DB8:1:2::9', '2001:db8:1:2::'],
    ['fe80::1%eth0', 'fe80::'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::'],
    ['::1', '::'],
    ['', ''],
    ['unknown', 'unknown'],
  ])('%j counts as %j', (address, network) => {
    expect(networkOfSender(address)).toBe(network);
  });
});
