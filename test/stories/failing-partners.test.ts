import { randomBytes } from 'node:crypto';
import { describe, expect, vi } from 'vitest';
import { checkCreations } from '../../src/cli/doctor/check-creations.ts';
import type { Db } from '../../src/db/connection/database.ts';
import { findRefusedCreations } from '../../src/tokenization/read/refused-creations.ts';
import { eventually } from '../support/eventually.ts';
import { openShop } from '../support/harness/shop.ts';
import { test } from '../support/harness/worker-test.ts';
import type { TestWorker } from '../support/harness/worker.ts';

/** The log lines of a worker with this message. */
function linesOf({ logs }: TestWorker, message: string): Record<string, unknown>[] {
  return logs
    .map((line): Record<string, unknown> => JSON.parse(line))
    .filter(({ msg }) => msg === message);
}

async function getPrivate({ app }: TestWorker, path: string): Promise<string> {
  return await (await fetch(`${app.urls?.private}${path}`)).text();
}

/** What `doctor` prints about the creations. */
async function doctorOn(db: Db): Promise<readonly unknown[]> {
  const print = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await checkCreations(db);
    return print.mock.calls.flat();
  } finally {
    print.mockRestore();
    process.exitCode = undefined;
  }
}

describe('a partner that fails every call', () => {
  test('a gateway: a log line at once, a gauge, a degraded readiness, and a line at the end', async ({
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['create', 'query'] });
    const { host } = new URL(worker.sandbox.url);
    const shop = openShop(worker);
    for (let count = 0; count < 3; count += 1) await shop.accept({ remark: 'sandbox:direct' });
    const [first] = await eventually('the first failure is logged', () => {
      const lines = linesOf(worker, 'a call to the gateway failed');
      return lines.length > 0 && lines;
    });
    expect(first).toMatchObject({ target: 'create', host, reason: 'http_5xx', level: 40 });
    const failing = await eventually('all fail', () => {
      const lines = linesOf(worker, 'every call to the gateway fails');
      return lines.length > 1 && lines;
    });
    const line = { host, reason: 'http_5xx', level: 50 };
    expect(failing).toMatchObject([
      { ...line, target: 'create' },
      { ...line, target: 'query' },
    ]);
    expect(JSON.parse(await getPrivate(worker, '/health/ready'))).toMatchObject({
      status: 'degraded',
      checks: { gateway: false, database: true, queues: true },
      causes: [{ check: 'gateway', reason: 'failing', names: ['create', 'query'] }],
    });
    const metrics = await getPrivate(worker, '/metrics');
    expect(metrics).toMatch(
      /^token_worker_calls_failed_in_a_row\{target="query"\} (?:[3-9]|\d\d)/m,
    );
    expect(metrics).toContain('token_worker_health_cause{check="gateway",reason="failing"} 1');
    worker.sandbox.setFaults({ errorRate5xx: 0 });
    await shop.accept({ remark: 'sandbox:direct' });
    await eventually(
      'the end is logged',
      () => linesOf(worker, 'the gateway answers again').length === 2,
    );
    expect(linesOf(worker, 'every call to the gateway fails')).toHaveLength(2);
    expect(JSON.parse(await getPrivate(worker, '/health/ready')).status).toBe('ok');
  });

  test('a gateway that refuses every creation: a log line, gauges, and a degraded readiness', async ({
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.sandbox.setFaults({ refuseCode: '20013' });
    const { host } = new URL(worker.sandbox.url);
    const shop = openShop(worker);
    for (let count = 0; count < 3; count += 1) await shop.accept({ remark: 'sandbox:direct' });
    const message = 'the gateway refuses every call';
    const [line] = await eventually('the refusals are logged', () => {
      const lines = linesOf(worker, message);
      return lines.length > 0 && lines;
    });
    expect(line).toMatchObject({
      level: 50,
      target: 'create',
      host,
      gatewayCode: '20013',
      scope: 'account',
      refusedInARow: 3,
      remedy: expect.stringContaining('secure code'),
    });
    expect(JSON.parse(await getPrivate(worker, '/health/ready'))).toMatchObject({
      status: 'degraded',
      checks: { gateway: false },
      causes: [{ check: 'gateway', reason: 'refusing', names: ['create'] }],
    });
    const metrics = await getPrivate(worker, '/metrics');
    expect(metrics).toContain('token_worker_calls_refused_in_a_row{target="create"} 3');
    expect(metrics).toContain('token_worker_health_cause{check="gateway",reason="refusing"} 1');
    const { db } = worker.app.operations;
    await eventually('the refusals are committed', async () => {
      const refused = await findRefusedCreations(db);
      return refused?.count === 3 && refused;
    });
    expect(await doctorOn(db)).toEqual([
      expect.stringMatching(/^!! {2}the gateway refused the last 3 creations \(code 20013\): /),
    ]);
    worker.sandbox.setFaults({ refuseCode: null });
    await shop.accept({ remark: 'sandbox:direct' });
    await eventually(
      'the end is logged',
      () => linesOf(worker, 'the gateway no longer refuses every call').length === 1,
    );
    expect(linesOf(worker, message)).toHaveLength(1);
    expect(JSON.parse(await getPrivate(worker, '/health/ready')).status).toBe('ok');
    await eventually(
      'the creation is committed',
      async () => (await findRefusedCreations(db)) === undefined,
    );
    expect(await doctorOn(db)).toEqual(['ok  the gateway does not refuse every creation']);
  });

  test('a webhook: a log line at once, a gauge, a degraded readiness, and a line at the end', async ({
    startWorker,
    receiver,
  }) => {
    receiver.answers.push(...Array.from({ length: 9 }, () => ({ status: 500 })));
    const worker = await startWorker({
      env: {
        MERCHANT_WEBHOOK_URL: receiver.url,
        MERCHANT_WEBHOOK_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
        MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
        MERCHANT_WEBHOOK_SCHEDULE_MS: '0,3000,3000,3000,3000',
      },
    });
    const shop = openShop(worker);
    for (let count = 0; count < 3; count += 1) await shop.accept({ remark: 'sandbox:direct' });
    const { host } = new URL(receiver.url);
    await eventually(
      'no event is delivered',
      () => linesOf(worker, 'no event can be delivered').length > 0,
    );
    expect(linesOf(worker, 'an event could not be delivered')).toMatchObject([
      { target: 'delivery', host, reason: 'http_5xx', level: 40 },
    ]);
    expect(JSON.parse(await getPrivate(worker, '/health/ready'))).toMatchObject({
      status: 'degraded',
      causes: [{ check: 'webhook', reason: 'failing' }],
    });
    expect(await getPrivate(worker, '/metrics')).toMatch(
      /^token_worker_calls_failed_in_a_row\{target="delivery"\} (?:[3-9]|\d\d)/m,
    );
    receiver.answers.length = 0;
    await eventually(
      'the end is logged',
      () => linesOf(worker, 'events are delivered again').length === 1,
    );
    expect(await getPrivate(worker, '/metrics')).toContain(
      'token_worker_calls_failed_in_a_row{target="delivery"} 0',
    );
  });
});
