import { describe, expect, test } from 'vitest';
import { exchangeRaw } from './exchange-raw.ts';
import { post, start } from './start-public-server.ts';

const address = 'Az09_-Az09_-Az09_-Az09';
const returnUrl = 'https://shop.example/back?merchantReferenceId=tok-1';

/** A listener that knows the address of one request, and the URLs that it asked about. */
async function startWithAddress(options: Parameters<typeof start>[1] = {}) {
  const asked: string[] = [];
  const started = await start(
    async (received) => ({
      verdict: 'kept',
      returnUrl: received.address === address ? returnUrl : undefined,
    }),
    options,
    async (target) => {
      if (target.address !== address) return undefined;
      asked.push(target.channel);
      return { returnUrl: target.channel === 'redirect' ? returnUrl : undefined };
    },
  );
  return { ...started, asked };
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
});

/** Requests to `path` that Node.js refuses, and the status for one that is no redirect. */
const refusedRequests: readonly (readonly [what: string, (path: string) => string[], number])[] = [
  ['a space in its URL', (path) => [`GET ${path}?remark=a b HTTP/1.1\r\nHost: a\r\n\r\n`], 400],
  [
    'a URL of 300 KB',
    (path) => [`GET ${path}?a=${'x'.repeat(300_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    431,
  ],
  [
    'headers of 300 KB',
    (path) => [`PUT ${path} HTTP/1.1\r\n${`X-A: ${'x'.repeat(1_000)}\r\n`.repeat(300)}\r\n`],
    431,
  ],
  ['a bad header', (path) => [`POST ${path} HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n`], 400],
  [
    'a chunk without a size',
    (path) => [`POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx=1\r\n`],
    400,
  ],
  [
    'a chunk without a size in a later packet',
    (path) => [
      `POST ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n`,
      'x=1\r\n',
    ],
    400,
  ],
  [
    'two lengths',
    (path) => [`POST ${path} HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx`],
    400,
  ],
  [
    'a body of 70 KB',
    (path) => [
      `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 70000\r\n\r\n`,
    ],
    413,
  ],
];

describe('a message to a per-request URL that the listener cannot read', () => {
  test.each(refusedRequests)(
    'causes a query and leads a customer to the return URL: %s',
    async (_what, partsOf, status) => {
      const { url, received, asked } = await startWithAddress();
      const redirect = await exchangeRaw(url, ...partsOf(`/base/callbacks/redirect/${address}`));
      expect(redirect).toMatch(/^(?:HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 303 /);
      expect(redirect).toContain(`\r\nlocation: ${returnUrl}\r\n`);
      const push = await exchangeRaw(url, ...partsOf(`/callbacks/notify/${address}`));
      expect(push).toMatch(
        new RegExp(`^(?:HTTP/1\\.1 100 Continue\r\n\r\n)?HTTP/1\\.1 ${status} `),
      );
      expect([asked, received]).toEqual([['redirect', 'notify'], []]);
    },
  );

  test('shares one question with those that follow it within a second', async () => {
    const { url, asked } = await startWithAddress();
    const request = `GET /callbacks/redirect/${address}?a=b c HTTP/1.1\r\nHost: a\r\n\r\n`;
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await exchangeRaw(url, request)),
    );
    expect(answers.every((answer) => answer.startsWith('HTTP/1.1 303 '))).toBe(true);
    expect(asked).toEqual(['redirect']);
  });

  test('is not taken for the request before it on its connection', async () => {
    const { url, asked } = await startWithAddress();
    const answers = await exchangeRaw(
      url,
      `GET /callbacks/redirect/${address} HTTP/1.1\r\nHost: a\r\n\r\n`,
      'GET /elsewhere?a=b c HTTP/1.1\r\n\r\n',
    );
    expect(answers).toMatch(/^HTTP\/1\.1 303 [^]*HTTP\/1\.1 400 /);
    expect(asked).toEqual([]);
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
