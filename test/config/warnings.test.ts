import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { configWarnings } from '../../src/config/warnings.ts';

const complete = {
  DATABASE_URL: 'postgres://worker@db:5432/tokens',
  ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
};
const warningsOf = (env: Readonly<Record<string, string>>) =>
  configWarnings(loadConfig({ ...complete, ...env }));

test.each([
  ['https://pay.shop.com', []],
  ['https://pay.shop.com:443/base', []],
  ['http://pay.shop.com', [/use https/]],
  ['https://pay.shop.com:8443', [/use port 80 or 443/]],
  ['https://localhost', [/name a public host/]],
  ['http://10.0.0.7:8080', [/use port/, /name a public host/]],
  ['https://[fd00::1]', [/name a public host/]],
  ['https://203.0.113.9', [/name a public host/]],
  ['https://8.8.8.8', []],
])('CALLBACK_PUBLIC_URL=%s is warned about where the gateway cannot use it', (url, expected) => {
  expect(warningsOf({ CALLBACK_PUBLIC_URL: url })).toEqual(
    expected.map((pattern) => expect.stringMatching(pattern)),
  );
});

test('a sandbox reaches every address, so none is warned about', () => {
  const env = {
    CALLBACK_PUBLIC_URL: 'http://localhost:8080',
    OCEANPAYMENT_CHECKOUT_URL: 'http://localhost:8090',
  };
  expect(warningsOf(env)).toEqual([]);
});

test('status words that make signatures ambiguous are warned about where signatures count', () => {
  const env = { GATEWAY_STATUS_MAP: 'active=active,inactive=failed' };
  expect(warningsOf(env)).toEqual([]);
  expect(
    warningsOf({
      ...env,
      NOTIFY_SIGNATURE_MODE: 'verify',
      NOTIFY_SIGNATURE_FIELDS: 'quickpay_id,quickpay_status',
    }),
  ).toEqual([expect.stringMatching(/^GATEWAY_STATUS_MAP: one word ends in another/)]);
});
