import { randomBytes, randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { Secret } from '../../src/security/secret.ts';
import { createWebhookSender, type WebhookSenderOptions } from '../../src/webhooks/sender.ts';
import { startConnectProxy } from '../support/services/connect-proxy.ts';
import { startWebhookReceiver, type WebhookReceiver } from '../support/harness/webhook-receiver.ts';

const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

describe('webhook sender', () => {
  let receiver: WebhookReceiver;
  beforeEach(async () => {
    receiver = await startWebhookReceiver();
  });
  afterEach(async () => await receiver.close());

  async function send(
    options: Partial<WebhookSenderOptions> = {},
    times = 1,
  ): Promise<readonly unknown[]> {
    const sender = createWebhookSender({
      url: receiver.url,
      secrets: [new Secret(newSecret())],
      allowPrivate: true,
      ...options,
    });
    try {
      const results: unknown[] = [];
      for (let time = 0; time < times; time += 1) {
        results.push(await sender.send({ id: randomUUID(), body: '{"type":"t"}' }));
      }
      return results;
    } finally {
      await sender.close();
    }
  }

  test('signs with each secret so that the Standard Webhooks library verifies the event', async () => {
    const secrets = [newSecret(), newSecret()];
    await send({ secrets: secrets.map((secret) => new Secret(secret)) });
    const [event] = receiver.events;
    for (const secret of secrets) {
      expect(new Webhook(secret).verify(event?.body ?? '', event?.headers ?? {})).toEqual({
        type: 't',
      });
    }
    const other = new Webhook(newSecret());
    expect(() => other.verify(event?.body ?? '', event?.headers ?? {})).toThrow('signature');
  });

  test('uses a proxy only if it is told to', async () => {
    const proxy = await startConnectProxy();
    // The sender takes the proxy of its own variable and of no other.
    const { webhook } = loadConfig({
      ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
      HTTPS_PROXY: proxy.url,
      MERCHANT_WEBHOOK_URL: receiver.url,
      MERCHANT_WEBHOOK_SECRETS: newSecret(),
      MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
    });
    expect(await send(webhook)).toEqual([{ kind: 'delivered', status: 204 }]);
    expect(proxy.targets).toEqual([]);
    expect(await send({ ...webhook, proxyUrl: proxy.url })).toEqual([
      { kind: 'delivered', status: 204 },
    ]);
    expect(proxy.targets).toEqual([new URL(receiver.url).host]);
  });

  test.each([
    [{ status: 200 }, { kind: 'delivered', status: 200 }],
    [{ status: 500 }, { kind: 'rejected', status: 500, retryAfterMs: undefined }],
    [
      { status: 429, headers: { 'retry-after': '7' } },
      { kind: 'rejected', status: 429, retryAfterMs: 7_000 },
    ],
    [{ status: 410 }, { kind: 'rejected', status: 410, retryAfterMs: undefined }],
  ])('takes only 2xx for a success: %j', async (answer, expected) => {
    receiver.answers.push(answer);
    expect(await send()).toEqual([expected]);
  });

  test('follows no redirect', async () => {
    receiver.answers.push({ status: 302, headers: { location: receiver.url } });
    expect(await send()).toEqual([{ kind: 'rejected', status: 302, retryAfterMs: undefined }]);
    expect(receiver.events).toHaveLength(1);
  });

  test('does not read a huge answer to its end', async () => {
    receiver.answers.push({ status: 200, body: 'x'.repeat(5_000_000) });
    expect(await send()).toMatchObject([{ kind: expect.stringMatching(/delivered|unreachable/) }]);
  });

  test('opens its circuit breaker after ten attempts that mostly failed, then admits a probe', async () => {
    receiver.answers.push(...Array.from({ length: 10 }, () => ({ status: 500 })));
    const breaker = { failureShare: 0.7, overMs: 300_000, attemptsMin: 10, halfOpenAfterMs: 0 };
    const closed = await send({ breaker: { ...breaker, halfOpenAfterMs: 60_000 } }, 12);
    expect(closed.map((result) => (result as { kind: string }).kind)).toEqual([
      ...Array.from({ length: 10 }, () => 'rejected'),
      'breaker_open',
      'breaker_open',
    ]);
    expect(receiver.events).toHaveLength(10);
    receiver.answers.push(...Array.from({ length: 10 }, () => ({ status: 500 })));
    const probed = await send({ breaker }, 11);
    expect(probed.at(-1)).toEqual({ kind: 'delivered', status: 204 });
  });

  test.each([
    'http://127.0.0.1',
    'http://2130706433',
    'http://0x7f.1',
    'http://[::1]',
    'http://[::ffff:127.0.0.1]',
    'http://10.0.0.1',
    'http://169.254.169.254',
    'http://[fd00:ec2::254]',
    'http://100.64.0.1',
    'http://168.63.129.16',
    'http://0.0.0.0',
    'http://localhost',
  ])('sends nothing to the private address %s', async (origin) => {
    const url = `${origin}:${receiver.port}/events`;
    expect(await send({ url, allowPrivate: false })).toEqual([
      { kind: 'unreachable', cause: 'address_forbidden' },
    ]);
    expect(receiver.events).toHaveLength(0);
  });

  test.each([
    ['a host that now resolves to a private address', ['127.0.0.1']],
    ['a host with a public and a private address', ['93.184.215.14', '127.0.0.1']],
  ])('refuses %s in the lookup of the connection itself', async (_, addresses) => {
    let lookups = 0;
    const lookup: LookupFunction = (_hostname, options, callback) => {
      lookups += 1;
      if (options.all === true) {
        callback(
          null,
          addresses.map((address) => ({ address, family: 4 })),
        );
      } else callback(null, addresses[0] ?? '', 4);
    };
    const url = `http://rebind.example:${receiver.port}/events`;
    const results = await send({ url, allowPrivate: false, lookup });
    expect(results).toEqual([{ kind: 'unreachable', cause: 'address_forbidden' }]);
    expect(lookups).toBe(1);
    expect(receiver.events).toHaveLength(0);
  });
});
