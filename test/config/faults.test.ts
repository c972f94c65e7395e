import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';

const key = Buffer.alloc(32, 7).toString('base64');
const complete = {
  DATABASE_URL: 'postgres://worker@db:5432/tokens',
  ENCRYPTION_KEYS: `k1:${key}`,
};

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error.message.split('\n  ').slice(1);
  }
}

describe('faults of the configuration', () => {
  test('of form, of combination and of spelling are reported together, each once', () => {
    const faults = faultsOf({
      DATABASE_URL: 'mysql://db/x',
      NODE_ENV: 'production',
      OPS_PORT: '70000',
      QUEUE_BACKEND: 'redis',
      OCEANPAYMENT_ACCOUNT: 'nine',
      CONFIRM_POLICY: 'signed',
      NOTIFY_SIGNATURE_MODE: 'always',
      ACCESS_TOKEN_TTL_MS: '1000',
      CALLBACK_PROT: '8080',
    });
    const names = faults.map((fault) => fault.split(':')[0]);
    const expected = [
      'ACCESS_TOKEN_SKEW_MS',
      'CALLBACK_PROT',
      'DATABASE_URL',
      'ENCRYPTION_KEYS',
      'NOTIFY_SIGNATURE_MODE',
      'OCEANPAYMENT_ACCOUNT',
      'OCEANPAYMENT_SECURE_CODE',
      'OCEANPAYMENT_TERMINAL',
      'OPS_PORT',
      'REDIS_URL',
    ];
    expect(new Set(names)).toEqual(new Set(expected));
    expect(names).toHaveLength(expected.length);
  });

  test.each([
    'https://shop.example?shop=1',
    'https://shop.example/?',
    'https://shop.example/#top',
    'https://user:pass@shop.example',
    'https://user@shop.example/tokens',
  ])('of a URL to which paths are appended are reported: %s', (url) => {
    const urls = {
      OCEANPAYMENT_CHECKOUT_URL: url,
      OCEANPAYMENT_OPEN_API_URL: url,
      CALLBACK_PUBLIC_URL: url,
    };
    expect(faultsOf({ ...complete, ...urls })).toEqual(
      Object.keys(urls).map(
        (name) =>
          `${name}: leave out query, fragment, user and password: the worker appends a path to this URL`,
      ),
    );
  });

  test.each([
    'https://shop.example/callbacks/notify',
    'https://shop.example/callbacks/redirect/',
    'https://shop.example/tokens//Callbacks//Notify/Az09_-Az09_-Az09_-Az09',
    'https://shop.example/%63allbacks/notify',
  ])('of a pasted callback route are reported: %s', (url) => {
    expect(faultsOf({ ...complete, CALLBACK_PUBLIC_URL: url })).toEqual([
      'CALLBACK_PUBLIC_URL: leave out /callbacks/notify or /callbacks/redirect: the worker appends the route',
    ]);
  });

  test.each([
    ['https://shop.example/tokens/', 'https://shop.example/tokens/'],
    ['https://shop.example/callbacks', 'https://shop.example/callbacks'],
    ['https://callbacks/notify', 'https://callbacks/notify'],
    ['HTTPS://b\u00FCcher.example/to\nkens', 'https://xn--bcher-kva.example/tokens'],
  ])('are none in the base %j, which is used in its serialized form', (url, used) => {
    const config = loadConfig({ ...complete, CALLBACK_PUBLIC_URL: url });
    expect(config.jobs.callbackPublicUrl).toBe(used);
  });

  test.each([
    ['1', 'give word=meaning'],
    ['1=usable', 'give word=meaning'],
    ['=active', 'give word=meaning'],
    ['1=active,1=failed', 'name each word once'],
    ['0=failed', 'name a word for active'],
  ])('of status words are reported: %s', (words, fault) => {
    expect(faultsOf({ ...complete, GATEWAY_STATUS_MAP: words })).toEqual([
      expect.stringContaining(`GATEWAY_STATUS_MAP: ${fault}`),
    ]);
  });

  test('of lists of words name the words', () => {
    const faults = faultsOf({
      ...complete,
      CALLBACK_FORMATS: 'xml,yaml',
      GATEWAY_REQUIRED_NODES: 'order,cart',
    });
    expect(faults).toEqual([
      expect.stringContaining('GATEWAY_REQUIRED_NODES: name any of order, merchant'),
      expect.stringContaining('CALLBACK_FORMATS: name any of xml, json, form, multipart'),
    ]);
  });

  test('of API keys (malformed, unknown scope, same name twice) are reported without the digest', () => {
    const digest = 'c'.repeat(64);
    for (const [keys, fault] of [
      ['shop', 'give name:sha256 in hex'],
      [`shop:${digest.slice(1)}`, 'give name:sha256 in hex'],
      [`shop:${digest}:read+king`, 'name scopes of enqueue, read, reveal, operate'],
      [`shop:${digest},shop:${digest}:read`, 'give each key a name of its own'],
    ] as const) {
      const faults = faultsOf({ ...complete, API_KEYS: keys });
      expect(faults).toEqual([expect.stringContaining(`API_KEYS: ${fault}`)]);
      expect(faults.join()).not.toContain('ccc');
    }
    const { privateHttp } = loadConfig({ ...complete, API_KEYS: `a:${digest},b:${digest}:read` });
    expect(privateHttp.api.keys).toEqual([
      { name: 'a', sha256: digest, scopes: ['enqueue', 'read', 'reveal', 'operate'] },
      { name: 'b', sha256: digest, scopes: ['read'] },
    ]);
  });

  test.each([
    ['OCEANPAYMENT_SECURECODE', 'OCEANPAYMENT_SECURE_CODE'],
    ['OPCARD_APPSECRET', 'OPCARD_APP_SECRET'],
    ['ENCRYPTION_KEY', 'ENCRYPTION_KEYS'],
    ['ACCESS_TOKEN_TTL', 'ACCESS_TOKEN_TTL_MS'],
    ['GATEWAY_TIMEOUT', 'GATEWAY_TIMEOUT_MS'],
  ])('%s is reported as a misspelled %s', (written, meant) => {
    expect(faultsOf({ ...complete, [written]: 'x' })).toEqual([
      `${written}: no such variable; did you mean ${meant}?`,
    ]);
  });

  test.each([
    'NOTIFY_SOCKET',
    'CALLBACK_SERVICE_HOST',
    'CALLBACK_PORT_8080_TCP_ADDR',
    'QUEUE_SERVICE_PORT',
    'GATEWAY_INTERFACE',
    'PATH',
    'npm_config_cache',
  ])('%s belongs to other software and is no fault', (name) => {
    expect(faultsOf({ ...complete, [name]: 'x' })).toEqual([]);
  });

  test.each([
    'oceanpayment-sandbox',
    'oceanpayment',
    'callback',
    'ops',
    'opcard-app',
    'encryption',
  ])(
    'Kubernetes may link a service named %s into the pod: nothing is refused, misread or lost',
    (service) => {
      const name = service.toUpperCase().replaceAll('-', '_');
      const links = {
        [`${name}_SERVICE_HOST`]: '10.0.0.5',
        [`${name}_SERVICE_PORT`]: '8090',
        [`${name}_SERVICE_PORT_HTTP`]: '8090',
        [`${name}_SERVICE_PORT_GRPC_WEB`]: '8091',
        [`${name}_PORT`]: 'tcp://10.0.0.5:8090',
        [`${name}_PORT_8090_TCP`]: 'tcp://10.0.0.5:8090',
        [`${name}_PORT_8090_TCP_PROTO`]: 'tcp',
        [`${name}_PORT_8090_TCP_PORT`]: '8090',
        [`${name}_PORT_8090_TCP_ADDR`]: '10.0.0.5',
        [`${name}_PORT_53_UDP`]: 'udp://10.0.0.5:53',
      };
      expect(loadConfig({ ...complete, ...links })).toEqual(loadConfig(complete));
    },
  );

  test('a port that is no number and no service link is still a fault', () => {
    expect(faultsOf({ ...complete, OPS_PORT: 'http://10.0.0.5' })).toEqual([
      expect.stringContaining('OPS_PORT: give a whole number'),
    ]);
  });

  test.each([
    ['http://checkout.oceanpayment.com', false],
    ['http://127.0.0.1.evil.example', false],
    ['http://localhost.evil.example:80', false],
    ['ftp://localhost', false],
    ['checkout.oceanpayment.com', false],
    ['http://127.0.0.1:9900', true],
    ['http://[::1]:9900', true],
    ['https://checkout.example.com', true],
  ])('the gateway at %s: allowed %s', (url, isAllowed) => {
    const faults = faultsOf({ ...complete, OCEANPAYMENT_CHECKOUT_URL: url });
    expect(faults.length === 0).toBe(isAllowed);
  });

  test('malformed source addresses are reported without their value', () => {
    const load = (text: string) => ({ ...complete, NOTIFY_SOURCE_ALLOW_LIST: text });
    expect(loadConfig(complete).publicHttp.notifySources).toBeUndefined();
    expect(loadConfig(load('192.0.2.7, 2001:db8::/32')).publicHttp.notifySources).toHaveLength(2);
    for (const text of ['192.0.2.7,gateway.example', '192.0.2.0/33', ' , ']) {
      const faults = faultsOf(load(text));
      expect(faults).toEqual([expect.stringMatching(/^NOTIFY_SOURCE_ALLOW_LIST: /)]);
      expect(faults.join()).not.toMatch(/example|33/);
    }
  });

  test('a proxy is a host and port, or an http URL, and its password is never shown', () => {
    const load = (proxy: string) => ({ ...complete, HTTPS_PROXY: proxy });
    expect(loadConfig(load('proxy.example:3128')).gateway.proxy.url).toBe(
      'http://proxy.example:3128',
    );
    for (const proxy of ['socks5://user:hunter2@proxy.example', 'http://', '://']) {
      const faults = faultsOf(load(proxy));
      expect(faults).toEqual(['HTTPS_PROXY: give a proxy of the form http://host:port']);
    }
  });

  test.each(['https://user@shop.example/events', 'https://:pass@shop.example/events'])(
    'the worker refuses a webhook address with credentials and does not show the address: %s',
    (url) => {
      const faults = faultsOf({
        ...complete,
        MERCHANT_WEBHOOK_URL: url,
        MERCHANT_WEBHOOK_SECRETS: `whsec_${key}`,
      });
      expect(faults).toEqual([expect.stringMatching(/^MERCHANT_WEBHOOK_URL: leave out user/)]);
      expect(faults.join()).not.toMatch(/shop|@/);
    },
  );

  test.each([
    ['two keys of one id', `k1:${key},k1:${key}`],
    ['31 bytes', `k1:${Buffer.alloc(31).toString('base64')}`],
    ['an id with a dot, which separates the parts of a sealed value', `k.1:${key}`],
    ['no id', key],
    ['only commas', ' , '],
  ])('ENCRYPTION_KEYS with %s are refused', (_, keys) => {
    expect(faultsOf({ ...complete, ENCRYPTION_KEYS: keys })[0]).toMatch(/^ENCRYPTION_KEYS: /);
  });
});
