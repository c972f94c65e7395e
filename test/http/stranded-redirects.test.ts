import { describe, expect, test } from 'vitest';
import { exchangeRaw } from './exchange-raw.ts';
import { post, start } from './start-public-server.ts';

const address = 'Az09_-Az09_-Az09_-Az09';
const returnUrl = 'https://shop.example/back?merchantReferenceId=tok-1';

/** A listener that knows the address of one request. */
async function startWithAddress(options: Parameters<typeof start>[1] = {}) {
  return await start(
    async (received) => ({
      verdict: 'kept',
      returnUrl: received.address === address ? returnUrl : undefined,
    }),
    options,
    async (named) => (named === address ? returnUrl : undefined),
  );
}

async function follow(url: string, init: RequestInit = {}) {
  const answer = await fetch(url, { redirect: 'manual', ...init });
  return [answer.status, answer.headers.get('location')];
}

const largeBody = { method: 'POST', body: 'x'.repeat(70_000) };

describe('a redirect to a per-request URL', () => {
  test.each([
    ['fields after an ampersand', `/callbacks/redirect/${address}&account=1&terminal=2`],
    ['an encoded question mark', `/callbacks/redirect/${address}%3Faccount=1`],
    ['a percent sign alone', `/callbacks/redirect/${address}%`],
    ['percent garbage', `/callbacks/redirect/${address}%zz?a=%zz`],
    ['a session id', `/callbacks/redirect/${address};jsessionid=1`],
    ['a dot', `/callbacks/redirect/${address}.`],
    ['an encoded space', `/callbacks/redirect/${address}%20`],
    ['another segment', `/callbacks/redirect/${address}/index.html`],
    ['a long segment', `/callbacks/redirect/${address}/${'x'.repeat(500)}`],
    ['another case of the path', `/Callbacks/REDIRECT/${address}`],
    ['encoded characters', `/callbacks/redirect/${address.replaceAll('_', '%5F')}`],
    ['a query of 20 KB', `/callbacks/redirect/${address}?x=${'x'.repeat(20_000)}`],
  ])('leads to the return URL and is stored although the URL has %s', async (_what, path) => {
    const { url, received } = await startWithAddress();
    expect(await follow(`${url}${path}`)).toEqual([303, returnUrl]);
    expect(received).toMatchObject([{ channel: 'redirect', address }]);
  });

  test('leads to the return URL although its body is too large to store', async () => {
    const { url, received, counted } = await startWithAddress();
    expect(await follow(`${url}/callbacks/redirect/${address}`, largeBody)).toEqual([
      303,
      returnUrl,
    ]);
    expect([received, counted]).toEqual([[], ['redirect not_kept']]);
  });

  test('leads to the return URL although its sender is over the rate limit', async () => {
    const { url, received } = await startWithAddress({ requestsPerMinuteMax: 1 });
    const own = `${url}/callbacks/redirect/${address}`;
    expect([await follow(own), await follow(own)]).toEqual([
      [303, returnUrl],
      [303, returnUrl],
    ]);
    expect(received).toHaveLength(1);
  });

  test('leads to the return URL although Node.js cannot parse its request', async () => {
    const { url } = await startWithAddress();
    const own = `/callbacks/redirect/${address}`;
    const answer = await exchangeRaw(url, `GET ${own}?remark=a b HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 303 /);
    expect(answer).toContain(`\r\nlocation: ${returnUrl}\r\n`);
  });
});

describe('any other redirect that cannot be stored', () => {
  test('gets the neutral page, never an answer for programs', async () => {
    const { url } = await startWithAddress({ requestsPerMinuteMax: 2 });
    const shared = `${url}/callbacks/redirect`;
    const unknown = `${shared}/${'A'.repeat(22)}`;
    const answers = [
      await post(shared, largeBody.body),
      await post(unknown, largeBody.body),
      await fetch(unknown),
    ];
    expect(answers.map(({ status }) => status)).toEqual([413, 413, 429]);
    for (const answer of answers) {
      expect(answer.headers.get('content-type')).toContain('text/html');
      expect(await answer.text()).toMatch(/^<!doctype html>/i);
    }
    for (const [request, status] of [
      ['GET /callbacks/redirect?a=b c HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      [`GET /callbacks/redirect?a=${'x'.repeat(70_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
    ] as const) {
      const answer = await exchangeRaw(url, request);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*<!doctype html>`, 'i'));
      expect(answer).toContain('x-content-type-options: nosniff');
    }
    expect(await (await post(`${url}/%zz`, '')).text()).toBe('refused');
  });
});
