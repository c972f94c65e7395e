import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { describe, expect } from 'vitest';
import { addCredential } from '../../src/credential/add.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { registerWebhookEndpoint } from '../../src/delivery/endpoint.ts';
import { openQueueBackend } from '../../src/queues/backend.ts';
import { sandboxDefaults } from '../../src/sandbox/sandbox.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { testActor } from '../support/builders.ts';
import { runCli } from '../support/harness/run-cli.ts';
import { appSecret, test, type TokenHarness } from '../support/harness/token-harness.ts';
import { startWebhookReceiver } from '../support/harness/webhook-receiver.ts';
import { freePort, spawnAnyRedis } from '../support/services/services.ts';

const doctor = async ({ env }: TokenHarness, changes: Readonly<Record<string, string>> = {}) => {
  const { code, output } = await runCli(['doctor'], { ...env, ...changes });
  const linesWith = (mark: string) =>
    output
      .split('\n')
      .filter((line) => line.startsWith(mark))
      .map((line) => line.slice(mark.length).trim());
  return { code, output, complaints: linesWith('!!'), notes: linesWith('??') };
};

describe('doctor', () => {
  test('asks the gateway about every account, and opens the secrets of every credential', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { dependencies } = harness;
    const { account, terminal, secureCode } = sandboxDefaults;
    const add = async (name: string, content: object) =>
      await addCredential(
        dependencies,
        { name, family: 'accept_payments' },
        'sandbox',
        content,
        testActor,
      );
    await add('till', { account, terminal, secureCode });
    expect(await doctor(harness)).toMatchObject({ code: 0, complaints: [] });
    await add('shop', { account: '222222', terminal: '22222201', secureCode: 'hunter2' });
    const refused = await doctor(harness);
    expect(refused.code).toBe(1);
    expect(refused.complaints).toEqual([
      expect.stringMatching(
        /^the gateway refuses the account of "shop" \(code \d+\): correct its secure code with "token-worker credentials rotate shop --family accept_payments", and have this address registered$/,
      ),
    ]);
    expect(refused.output).toContain('ok  the gateway accepts 1 of 2 accounts');
    expect(refused.output).not.toContain('hunter2');

    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const keyless = await doctor(harness, {
      ENCRYPTION_KEYS: `k2:${generateEncryptionKey('k2').key.reveal()}`,
    });
    expect(keyless.code).toBe(1);
    expect(keyless.complaints).toEqual(
      ['"shop" (accept_payments)', '"till" (accept_payments)', '"cards" (opcard)'].map((name) =>
        expect.stringContaining(`${name}: A sealed credential.secrets_sealed needs a key`),
      ),
    );
    expect(keyless.output).not.toContain(appSecret);
  });

  test('reports stores that answer and take no writes, and a paused queue, with the remedy', async ({
    openTokenHarness,
    databaseUrl,
    skip,
  }) => {
    const harness = await openTokenHarness();
    const port = await freePort();
    const server = await spawnAnyRedis(port);
    if (server === undefined) return skip('no redis-server on the path');
    const url = `redis://127.0.0.1:${port}`;
    const redis = { REDIS_URL: url, QUEUE_PREFIX: 'tlw-test' };
    const admin = new Redis(url);
    try {
      expect(await doctor(harness, redis)).toMatchObject({ code: 0, complaints: [] });
      const backend = await openQueueBackend(
        { kind: 'redis', urls: [url], prefix: 'tlw-test' },
        () => undefined,
      );
      await backend.queue('notify').pause();
      await backend.close();
      expect((await doctor(harness, redis)).complaints).toEqual([
        'queues are paused (notify): resume them',
      ]);
      await admin.replicaof('127.0.0.1', 1);
      expect(await doctor(harness, redis)).toMatchObject({
        code: 1,
        complaints: [
          expect.stringMatching(/^Redis on .* is a replica .*READONLY.*: name the primary/),
        ],
      });
    } finally {
      admin.disconnect();
      await server.close();
    }
    const name = new URL(databaseUrl).pathname.slice(1);
    await withClient(databaseUrl, async (client) => {
      await client.query(`alter database ${name} set default_transaction_read_only = on`);
      try {
        const readOnly = await doctor(harness);
        expect(readOnly.code).toBe(1);
        expect(readOnly.output).toContain('PostgreSQL takes no writes here (25006)');
      } finally {
        await client.query(`alter database ${name} reset all`);
      }
    });
  });

  test('reports a webhook that is disabled, that fails, or that answers nothing, and sends it no event', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { db } = harness.dependencies;
    const receiver = await startWebhookReceiver();
    const webhook = {
      MERCHANT_WEBHOOK_URL: receiver.url,
      MERCHANT_WEBHOOK_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
      MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
    };
    expect((await doctor(harness)).output).toContain('ok  no webhook is configured');
    const good = await doctor(harness, webhook);
    expect(good).toMatchObject({ code: 0, complaints: [] });
    expect(good.output).toContain('ok  the webhook address answers');
    expect(receiver.events.map(({ body }) => body)).toEqual(['']);

    await registerWebhookEndpoint(harness.dependencies, receiver.url);
    const set = db.updateTable('webhook_endpoint');
    await set.set({ failing_since: new Date('2026-11-27T10:00:00Z') }).execute();
    expect((await doctor(harness, webhook)).complaints).toEqual([
      expect.stringMatching(/^no event has reached the webhook since 2026-11-27T10:00:00.000Z/),
    ]);
    await set.set({ state: 'disabled' }).execute();
    expect((await doctor(harness, webhook)).complaints).toEqual([
      expect.stringContaining('run "token-worker deliveries enable"'),
    ]);
    await set.set({ state: 'enabled', failing_since: null }).execute();
    await receiver.close();
    expect((await doctor(harness, webhook)).complaints).toEqual([
      expect.stringMatching(
        /^the webhook address accepts no connection: look at MERCHANT_WEBHOOK_/,
      ),
    ]);
  });

  test('notes what waits for an operator, and scans that no process runs, without a fault', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    const { db } = harness.dependencies;
    expect((await doctor(harness)).notes).toEqual([]);
    const stopped = { name: 'reconciliation.scan', finished_at: new Date(0) };
    await db.insertInto('scan_run').values(stopped).execute();
    expect(await doctor(harness)).toMatchObject({
      code: 0,
      notes: [expect.stringMatching(/^no process runs .*reconciliation.scan.*"scheduler"/)],
    });
  });
});
