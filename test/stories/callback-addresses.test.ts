import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { sealedPlace } from '../../src/db/sealed-place.ts';
import type { TokenizationRow } from '../../src/db/rows.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { requestPayload } from '../support/builders.ts';
import { dumpDatabase } from '../support/dumps.ts';
import { eventually } from '../support/eventually.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { openShop, type Shop } from '../support/harness/shop.ts';
import type { TestWorker } from '../support/harness/worker.ts';
import { type StartWorker, test } from '../support/harness/worker-test.ts';
import { startPathProxy } from '../support/services/path-proxy.ts';
import { freePort } from '../support/services/services.ts';
import { exchangeRaw } from '../http/exchange-raw.ts';

const returnUrl = 'https://shop.example/back';
const remark = 'sandbox:redirect+dropped';

interface Scene {
  readonly worker: TestWorker;
  readonly shop: Shop;
  readonly callbacks: string;
  /** Accepts a request that names no callback URLs, and waits for its page. */
  readonly open: (referenceId: string) => Promise<Opened>;
}

interface Opened {
  readonly row: TokenizationRow;
  /** The per-request URLs. */
  readonly redirectUrl: string;
  readonly notifyUrl: string;
}

/** A worker whose next scheduled query is hours later, so that only messages cause queries. */
async function start(
  startWorker: StartWorker,
  env: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  const port = await freePort();
  const worker = await startWorker({
    env: {
      RECONCILE_SCHEDULE_MS: '3000000',
      AWAITING_CUSTOMER_DEADLINE_MS: '86400000',
      CALLBACK_PORT: String(port),
      CALLBACK_PUBLIC_URL: `http://127.0.0.1:${port}`,
      ...env,
    },
  });
  const shop = openShop(worker);
  return {
    worker,
    shop,
    callbacks: `http://127.0.0.1:${port}/callbacks`,
    async open(referenceId) {
      const { tokenization } = await acceptTokenization(
        worker.app.operations,
        { ...requestPayload({ referenceId, remark }), returnUrl },
        { audit: { actor: { type: 'backend', id: 'test' } } },
      );
      const row = await shop.until(referenceId, 'awaiting_customer');
      const place = sealedPlace('tokenization', 'request_sealed', tokenization.id);
      const sealed = worker.app.operations.keyring.open(place, row.request_sealed).reveal();
      const { redirectUrl, notifyUrl } = JSON.parse(sealed).order;
      return { row, redirectUrl, notifyUrl };
    },
  };
}

async function post(url: string, body: string, contentType: string): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': contentType },
    body,
  });
}

const form = 'application/x-www-form-urlencoded';

/** Redirects of which the worker can't read the message, or reads another reference. */
const oddRedirects: readonly (readonly [
  what: string,
  send: (url: string, row: TokenizationRow) => Promise<Response>,
])[] = [
  [
    'an altered reference',
    async (url, { account, terminal }) => {
      const fields = { account, terminal, merchant_reference_id: 'other', quickpay_status: '1' };
      return await post(url, new URLSearchParams(fields).toString(), form);
    },
  ],
  ['another account', async (url) => await post(url, 'account=1&terminal=2', form)],
  ['no body', async (url) => await post(url, '', form)],
  ['no text', async (url) => await post(url, '\u0000\u0001', 'application/octet-stream')],
  ['no query', async (url) => await fetch(url, { redirect: 'manual' })],
  ['a trailing slash', async (url) => await post(`${url}/`, 'x=1', form)],
  [
    'doubled slashes',
    async (url) => await post(url.replace('/callbacks/', '//callbacks//'), 'x=1', form),
  ],
];

describe('per-request callback URLs', () => {
  test('cannot be guessed, and only their digests are stored', async ({
    startWorker,
    databaseUrl,
  }) => {
    const { open, callbacks } = await start(startWorker);
    const opened = [await open('own-1'), await open('own-2')];
    const addresses = opened.flatMap(({ redirectUrl, notifyUrl }) => {
      expect(redirectUrl).toMatch(new RegExp(`^${callbacks}/redirect/[\\w-]{22}$`));
      expect(notifyUrl).toMatch(new RegExp(`^${callbacks}/notify/[\\w-]{22}$`));
      return [redirectUrl, notifyUrl].map((url) => url.split('/').at(-1) ?? '');
    });
    expect(new Set(addresses).size).toBe(4);
    const dump = await dumpDatabase(databaseUrl);
    expect(addresses.filter((address) => dump.includes(address))).toEqual([]);
  });

  test('lead the customer to the return URL and make the worker query the gateway, whatever the message', async ({
    startWorker,
  }) => {
    const { worker, shop, open } = await start(startWorker);
    await Promise.all(
      oddRedirects.map(async ([what, send], index) => {
        const { row, redirectUrl } = await open(`return-${index}`);
        await shop.decide(row, 'approve');
        const answer = await send(redirectUrl, row);
        expect(answer.status, what).toBe(303);
        expect(answer.headers.get('location'), what).toContain(returnUrl);
        await shop.until(`return-${index}`, 'active');
      }),
    );
    expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  });

  test.for(['redirect', 'notify'] as const)(
    'make the worker query about a message by %s that no listener can store',
    async (channel, { startWorker }) => {
      const { worker, shop, open } = await start(startWorker);
      const { row, redirectUrl, notifyUrl } = await open('unread');
      await shop.decide(row, 'approve');
      const url = channel === 'redirect' ? redirectUrl : notifyUrl;
      const { pathname } = new URL(url);
      const answers = [
        await exchangeRaw(url, `GET ${pathname}?a=${'x'.repeat(300_000)} HTTP/1.1\r\n\r\n`),
        await exchangeRaw(url, `GET ${pathname}?a=b c HTTP/1.1\r\n\r\n`),
      ];
      await shop.until('unread', 'active');
      for (const answer of answers) {
        expect(answer.includes(`location: ${returnUrl}`)).toBe(channel === 'redirect');
      }
      const { db } = worker.app.operations;
      const stored = await db.selectFrom('callback').select(['reason', 'body_bytes']).execute();
      expect(stored).toEqual([{ reason: 'unreadable', body_bytes: 0 }]);
      const queries = worker.sandbox.state().calls.query;
      await post(url, 'x'.repeat(70_000), form);
      expect(worker.sandbox.state().calls.query).toBe(queries);
    },
  );

  test('make the worker query about a push by GET with its fields in the query string', async ({
    startWorker,
  }) => {
    const { shop, open } = await start(startWorker);
    const { row, notifyUrl } = await open('by-get');
    await shop.decide(row, 'approve');
    const answer = await fetch(`${notifyUrl}?merchant_reference_id=by-get&quickpay_status=1`);
    expect(await answer.text()).toBe('receive-ok');
    await shop.until('by-get', 'active');
  });

  test('lead the customer to the return URL although the message could not be stored', async ({
    startWorker,
    databaseUrl,
  }) => {
    const { worker, open } = await start(startWorker);
    const { redirectUrl } = await open('unstored');
    const alterInbox = async (action: string) =>
      await withClient(
        databaseUrl,
        async (client) => await client.query(`alter table token_lifecycle.callback ${action}`),
      );
    await alterInbox('add constraint full_up check (false) not valid');
    const answer = await post(redirectUrl, 'x=1', form);
    await alterInbox('drop constraint full_up');
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toContain(returnUrl);
    const metrics = await (await fetch(`${worker.app.urls?.private}/metrics`)).text();
    expect(metrics).toContain('{channel="redirect",result="not_kept"} 1');
  });

  test('are the only way to the return URL: the shared route shows nothing of the request', async ({
    startWorker,
  }) => {
    const { open, shop, callbacks } = await start(startWorker);
    const { row } = await open('hidden');
    for (const answer of [
      await shop.forge('redirect', { merchant_reference_id: 'hidden', quickpay_status: '1' }),
      await fetch(`${callbacks}/redirect/${'A'.repeat(22)}`, { redirect: 'manual' }),
    ]) {
      expect([answer.status, answer.headers.get('location')]).toEqual([200, null]);
      expect(await answer.text()).not.toContain(row.id);
    }
  });

  test.for([
    { proves: 'true', state: 'failed' },
    { proves: 'false', state: 'confirming' },
  ])(
    'prove the sender of a push while NOTIFY_ADDRESS_PROVES is $proves',
    async ({ proves, state }, { startWorker }) => {
      const { worker, open } = await start(startWorker, { NOTIFY_ADDRESS_PROVES: proves });
      const { row, notifyUrl } = await open('proof');
      const fields = { account: row.account, terminal: row.terminal, quickpay_status: '0' };
      const reference = { merchant_reference_id: 'proof' };
      const push = new URLSearchParams({ ...fields, ...reference }).toString();
      expect(await (await post(notifyUrl, push, form)).text()).toBe('receive-ok');
      const { db } = worker.app.operations;
      await eventually('the push is judged', async () => {
        const rows = await db.selectFrom('callback').select('state').execute();
        return rows[0]?.state === 'accepted';
      });
      const rows = await db.selectFrom('tokenization').select('state').execute();
      expect(rows).toEqual([{ state }]);
    },
  );

  test('a push to them is still compared with the request', async ({ startWorker }) => {
    const { worker, open } = await start(startWorker);
    const { row, notifyUrl } = await open('compared');
    const fields = { account: row.account, terminal: row.terminal, quickpay_status: '0' };
    const other = { merchant_reference_id: 'compared', order_amount: '99.99' };
    const queries = worker.sandbox.state().calls.query;
    await post(notifyUrl, new URLSearchParams({ ...fields, ...other }).toString(), form);
    await eventually(
      'the gateway is queried',
      () => worker.sandbox.state().calls.query === queries + 1,
    );
    const { db } = worker.app.operations;
    // The message waits for what the gateway's record says.
    const messages = await db.selectFrom('callback').select('state').execute();
    expect(messages).toEqual([{ state: 'received' }]);
    const rows = await db.selectFrom('tokenization').select('state').execute();
    expect(rows).toEqual([{ state: 'awaiting_customer' }]);
  });

  test.for([
    { what: 'keeps', base: '/tokens', strip: '' },
    { what: 'strips', base: '/tokens', strip: '/tokens' },
    { what: 'keeps', base: '/callbacks/', strip: '' },
    { what: 'strips', base: '/callbacks/', strip: '/callbacks' },
  ])(
    'reach the worker behind a proxy that $what the base path $base',
    async ({ base, strip }, { startWorker }) => {
      const port = await freePort();
      const proxy = await startPathProxy(port, strip);
      const url = `${proxy.url}${base}`;
      const { open, shop } = await start(startWorker, {
        CALLBACK_PORT: String(port),
        CALLBACK_PUBLIC_URL: url,
      });
      const { row, redirectUrl, notifyUrl } = await open('behind');
      const routes = `${url.replace(/\/$/, '')}/callbacks`;
      expect([redirectUrl, notifyUrl]).toEqual([
        expect.stringMatching(`^${routes}/redirect/[\\w-]{22}$`),
        expect.stringMatching(`^${routes}/notify/[\\w-]{22}$`),
      ]);
      expect(await (await post(notifyUrl, 'x=1', form)).text()).toBe('receive-ok');
      const { pathname } = new URL(redirectUrl);
      const malformed = `GET ${pathname}?a=b c HTTP/1.1\r\nHost: a\r\n\r\n`;
      expect(await exchangeRaw(url, malformed)).toContain(`location: ${returnUrl}`);
      const answer = await shop.followRedirect(await shop.decide(row, 'approve'));
      expect(answer.headers.get('location')).toContain(returnUrl);
      await shop.until('behind', 'active');
    },
  );

  test('are not made with CALLBACK_ADDRESSES=shared', async ({ startWorker }) => {
    const { open, shop, callbacks } = await start(startWorker, { CALLBACK_ADDRESSES: 'shared' });
    const { row, redirectUrl, notifyUrl } = await open('shared');
    expect([redirectUrl, notifyUrl]).toEqual([`${callbacks}/redirect`, `${callbacks}/notify`]);
    const answer = await shop.followRedirect(await shop.decide(row, 'approve'));
    expect(answer.headers.get('location')).toContain(returnUrl);
    await shop.until('shared', 'active');
  });
});
