import { describe, expect, test } from 'vitest';
import { createPublicServer, type PublicPorts } from '../../src/http/public-server.ts';
import { parseAddressRange } from '../../src/security/addresses.ts';
import { exchangeRaw } from './exchange-raw.ts';
import { closed, post, start } from './start-public-server.ts';

const bodyBytesMax = 64 * 1_024;

describe('push', () => {
  test('is answered with receive-ok only after it was stored', async () => {
    const kept = Promise.withResolvers<{ verdict: 'kept'; returnUrl: undefined }>();
    const { url, received, counted } = await start(async () => await kept.promise);
    let isAnswered = false;
    const answering = post(`${url}/callbacks/notify`, '<response/>', {
      'content-type': 'application/xml',
    }).finally(() => {
      isAnswered = true;
    });
    await expect.poll(() => received.length).toBe(1);
    expect(isAnswered).toBe(false);
    kept.resolve({ verdict: 'kept', returnUrl: undefined });
    const answer = await answering;
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await answer.text()).toBe('receive-ok');
    expect(counted).toEqual(['notify kept']);
  });

  test('that was not stored is answered with 503 without the cause', async () => {
    const { url, counted } = await start(async () => {
      throw new Error('password hunter2 refused');
    });
    const answer = await post(`${url}/callbacks/notify`, 'x=1');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).not.toBeNull();
    expect(await answer.text()).toBe('try again');
    expect(counted).toEqual(['notify not_kept']);
  });

  test('with a refused signature is answered with 400, never with receive-ok', async () => {
    const { url } = await start(async () => ({ verdict: 'bad_signature', returnUrl: undefined }));
    const answer = await post(`${url}/callbacks/notify`, 'x=1');
    expect(answer.status).toBe(400);
    expect(await answer.text()).not.toContain('receive-ok');
  });

  test.each([
    'application/xml',
    'text/xml; charset=GBK',
    'application/json',
    'application/x-www-form-urlencoded',
    'application/octet-stream',
    'multipart/form-data; boundary=x',
    'xml',
    'text/xml;',
    '*/*',
    '???',
  ])('of content type "%s" arrives with its exact bytes and content type', async (contentType) => {
    const { url, received } = await start();
    const bytes = Buffer.from([0x7b, 0x00, 0xff, 0xfe, 0x0a, 0x22]);
    const answer = await post(`${url}/callbacks/notify`, bytes, { 'content-type': contentType });
    expect(answer.status).toBe(200);
    expect(received[0]?.contentType).toBe(contentType);
    expect(received[0]?.body.equals(bytes)).toBe(true);
    expect(received[0]?.sourceIp).toBe('127.0.0.1');
  });

  test('arrives with its query string and content encoding', async () => {
    const { url, received } = await start();
    const encoding = { 'content-encoding': 'gzip' };
    await post(`${url}/callbacks/notify?quickpay_status=1&a=b?c`, 'x', encoding);
    expect(received[0]).toMatchObject({
      contentEncoding: 'gzip',
      query: 'quickpay_status=1&a=b?c',
    });
    await post(`${url}/callbacks/notify?quickpay_status=1`, '');
    expect(received[1]).toMatchObject({
      contentType: 'application/x-www-form-urlencoded',
      query: undefined,
    });
    expect(received[1]?.body.toString()).toBe('quickpay_status=1');
  });

  test('arrives without a content type, and without a body', async () => {
    const { url, received } = await start();
    expect((await post(`${url}/callbacks/notify`, Buffer.from('a=b'))).status).toBe(200);
    expect(received[0]).toMatchObject({ channel: 'notify', contentType: undefined });
    expect(received[0]?.body.toString()).toBe('a=b');
    expect((await fetch(`${url}/callbacks/notify`, { method: 'POST' })).status).toBe(200);
    expect(received[1]?.body).toHaveLength(0);
  });
});

describe('callback body', () => {
  test('of 64 KiB is accepted, and one byte more is answered with 413', async () => {
    const { url, received } = await start();
    const largest = await post(`${url}/callbacks/notify`, Buffer.alloc(bodyBytesMax, 'x'));
    expect(largest.status).toBe(200);
    const larger = await post(`${url}/callbacks/notify`, Buffer.alloc(bodyBytesMax + 1, 'x'));
    expect(larger.status).toBe(413);
    expect(received).toHaveLength(1);
  });

  test('in chunks is cut off at the same limit', async () => {
    const { url, received } = await start();
    const chunk = `${bodyBytesMax.toString(16)}\r\n${'x'.repeat(bodyBytesMax)}\r\n`;
    const head =
      'POST /callbacks/notify HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    const answer = await exchangeRaw(url, `${head}${chunk}${chunk}0\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(received).toHaveLength(0);
  });

  test('with two contradicting lengths is refused', async () => {
    const { url, received } = await start();
    const answer = await exchangeRaw(
      url,
      'POST /callbacks/notify HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(received).toHaveLength(0);
  });
});

describe('browser redirect', () => {
  test('sends the customer to the return URL with 303 and no-store', async () => {
    const returnUrl = 'https://shop.example/back?merchantReferenceId=tok-1';
    const { url, received } = await start(async () => ({ verdict: 'kept', returnUrl }));
    const answer = await post(`${url}/callbacks/redirect`, 'code=000', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe(returnUrl);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.text()).toBe('');
    expect(received[0]).toMatchObject({ channel: 'redirect' });
  });

  test('by GET arrives as its raw query, including further question marks', async () => {
    const { url, received } = await start();
    await fetch(`${url}/callbacks/redirect?code=000&code=%2B1&remark=a?b&empty=`);
    expect(received[0]?.body.toString()).toBe('code=000&code=%2B1&remark=a?b&empty=');
    expect(received[0]?.contentType).toBe('application/x-www-form-urlencoded');
    await fetch(`${url}/callbacks/redirect`);
    expect(received[1]?.body).toHaveLength(0);
  });

  test('without a return URL gets a page that shows no outcome and runs no script', async () => {
    const { url } = await start();
    const body = 'code=000&quickpay_status=1&order_remark=<script>alert(1)</script>';
    const answer = await post(`${url}/callbacks/redirect`, body);
    const page = await answer.text();
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain('text/html');
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page).not.toMatch(/script|success|fail|000/i);
  });

  test('that was not stored gets the same page with 503', async () => {
    const { url } = await start(async () => {
      throw new Error('no database');
    });
    const answer = await post(`${url}/callbacks/redirect`, 'a=b');
    expect(answer.status).toBe(503);
    expect(await answer.text()).not.toContain('database');
  });

  test.each([
    ['https://shop.example/a\r\nset-cookie: sid=1', 'https://shop.example/aset-cookie:%20sid=1'],
    ['https://shop.example/grüße?näme=ü', 'https://shop.example/gr%C3%BC%C3%9Fe?n%C3%A4me=%C3%BC'],
  ])('to %j cannot inject a header or break the answer', async (returnUrl, location) => {
    const { url } = await start(async () => ({ verdict: 'kept', returnUrl }));
    const answer = await post(`${url}/callbacks/redirect`, 'a=b');
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe(location);
    expect(answer.headers.get('set-cookie')).toBeNull();
  });

  test.each(['javascript:alert(1)', 'data:text/html,x', '/relative', ''])(
    'is not sent to %j',
    async (returnUrl) => {
      const { url } = await start(async () => ({ verdict: 'kept', returnUrl }));
      const answer = await post(`${url}/callbacks/redirect`, 'a=b');
      expect(answer.status).toBe(200);
      expect(answer.headers.get('location')).toBeNull();
    },
  );
});

describe('public listener', () => {
  test.each([
    ['GET', '/'],
    ['HEAD', '/callbacks/notify?code=000'],
    ['PATCH', '/callbacks/notify'],
    ['DELETE', '/callbacks/redirect'],
    ['OPTIONS', '/callbacks/redirect'],
    ['HEAD', '/callbacks/redirect?code=000'],
    ['POST', '/callbacks/notify/../../metrics'],
    ['GET', '/health/live'],
    ['GET', '/metrics'],
    ['GET', '/queues'],
    ['POST', '/callbacks/notifyall'],
  ])('answers %s %s with 404', async (method, path) => {
    const { url, received } = await start();
    const answer = await fetch(`${url}${path}`, { method });
    expect(answer.status).toBe(404);
    expect(received).toHaveLength(0);
  });

  test.each([
    ['GET', '/callbacks/notify', '?code=000', null],
    ['GET', `/callbacks/notify/${'A'.repeat(22)}`, '?code=000', null],
    ['PUT', `/callbacks/notify/${'A'.repeat(22)}`, '', 'code=000'],
    ['PUT', '/callbacks/redirect', '?code=000', null],
  ])('takes a message by %s %s', async (method, path, query, body) => {
    const { url, received } = await start();
    const answer = await fetch(`${url}${path}${query}`, { method, body });
    expect(answer.status).toBe(200);
    expect(received.map(({ body: bytes }) => bytes.toString())).toEqual(['code=000']);
  });

  test('answers a malformed request with a 4xx and continues to work', async () => {
    const { url } = await start();
    expect(await exchangeRaw(url, 'NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 4\d\d /);
    const odd = 'GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    expect(await exchangeRaw(url, odd)).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await post(`${url}/callbacks/notify`, 'x')).status).toBe(200);
  });

  test('hides its server software and forbids content sniffing in every answer', async () => {
    const { url } = await start();
    for (const path of ['/callbacks/redirect', '/nowhere']) {
      const { headers } = await fetch(`${url}${path}`);
      expect(headers.get('server')).toBeNull();
      expect(headers.get('x-powered-by')).toBeNull();
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
  });

  test('answers an address over its rate limit with 429 and stores nothing more', async () => {
    const { url, received } = await start(undefined, { requestsPerMinuteMax: 3 });
    const statuses: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      statuses.push((await post(`${url}/callbacks/notify`, 'x')).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect(received).toHaveLength(3);
  });

  test('limits an IPv6 network of 64 bits as one sender, and each IPv4 address alone', async () => {
    const { url } = await start(undefined, { trustProxy: true, requestsPerMinuteMax: 2 });
    const ask = async (from: string) =>
      (await post(`${url}/callbacks/notify`, 'x', { 'x-forwarded-for': from })).status;
    expect([await ask('2001:db8::1'), await ask('2001:db8::ffff')]).toEqual([200, 200]);
    expect([await ask('2001:db8:0:0:abcd::2'), await ask('2001:db8:0:1::2')]).toEqual([429, 200]);
    expect([await ask('192.0.2.1'), await ask('::ffff:192.0.2.1')]).toEqual([200, 200]);
    expect([await ask('192.0.2.1:40001'), await ask('192.0.2.2')]).toEqual([429, 200]);
    expect(await ask('[2001:db8::3]:443')).toBe(429);
  });

  test('accepts pushes only from the listed addresses, and redirects from any', async () => {
    const { url, received, counted } = await start(undefined, {
      trustProxy: true,
      notifySources: ['198.51.100.0/28', '2001:db8::7'].flatMap(
        (range) => parseAddressRange(range) ?? [],
      ),
    });
    const ask = async (route: string, from?: string) => {
      const headers = from === undefined ? {} : { 'x-forwarded-for': from };
      return (await post(`${url}/callbacks/${route}`, 'x'.repeat(1_000), headers)).status;
    };
    const allowed = ['198.51.100.15', '::ffff:198.51.100.1', '2001:db8::7'];
    // Some proxies add the sender's port.
    const withPort = ['198.51.100.15:51234', '[2001:db8::7]:443', '203.0.113.9:80, 198.51.100.1:8'];
    for (const from of [...allowed, ...withPort]) expect(await ask('notify', from)).toBe(200);
    const addresses = received.splice(0).map(({ sourceIp }) => sourceIp);
    expect(addresses).toEqual([...allowed, '198.51.100.15', '2001:db8::7', '198.51.100.1']);
    const others = ['198.51.100.16', '2001:db8::8', '198.51.100.1, 203.0.113.9', undefined];
    for (const from of [...others, '203.0.113.9:80', '198.51.100.1:8, [2001:db8::8]:443']) {
      expect(await ask('notify', from)).toBe(403);
    }
    expect(received).toEqual([]);
    expect(counted.filter((count) => count === 'notify source_refused')).toHaveLength(6);
    expect(await ask('redirect', '203.0.113.9')).toBe(200);
  });

  test('trusts X-Forwarded-For only behind a proxy, and then only the entry of that proxy', async () => {
    const forwarded = { 'x-forwarded-for': '198.51.100.66, 203.0.113.9' };
    const direct = await start();
    await post(`${direct.url}/callbacks/notify`, 'x', forwarded);
    expect(direct.received[0]?.sourceIp).toBe('127.0.0.1');
    const behind = await start(undefined, { trustProxy: true });
    await post(`${behind.url}/callbacks/notify`, 'x', forwarded);
    expect(behind.received[0]?.sourceIp).toBe('203.0.113.9');
  });

  test('logs neither bodies nor queries, even if a message was not stored', async () => {
    const { url, logged } = await start(async () => {
      throw new TypeError('unforeseen');
    });
    await post(`${url}/callbacks/notify`, 'card=canary-1');
    await fetch(`${url}/callbacks/redirect?card=canary-2`);
    await fetch(`${url}/elsewhere?card=canary-3`);
    expect(logged).toHaveLength(2);
    expect(JSON.stringify(logged)).not.toContain('canary');
  });

  test('names the variable to change if its port is taken', async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const ports: PublicPorts = {
      receiveCallback: async () => ({ verdict: 'kept', returnUrl: undefined }),
      receiveUnstorable: async () => undefined,
      countCallback: () => undefined,
      logger: { debug() {}, info() {}, warn() {}, error() {}, fatal() {} },
    };
    const second = createPublicServer({ ...closed, port }, ports);
    await expect(second.listen()).rejects.toMatchObject({
      code: 'port_taken',
      message: expect.stringMatching(new RegExp(`${port}.*CALLBACK_PORT`)),
    });
    await second.close();
  });
});
