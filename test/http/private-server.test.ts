import { afterEach, describe, expect } from 'vitest';
import { summarizeHealth } from '../../src/domain/health.ts';
import { createPrivateServer, type PrivatePorts } from '../../src/http/private-server.ts';
import type { HttpServer } from '../../src/http/public-server.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { openQueueBackend } from '../../src/queues/backend.ts';
import { migrateQueueSchema } from '../../src/queues/postgres-schema.ts';
import { hashPassword } from '../../src/security/password.ts';
import { Secret } from '../../src/security/secret.ts';
import { test } from '../support/harness/fixtures.ts';
import { noAccessTokens, noOperations } from '../support/harness/no-operations.ts';

const password = 'correct horse';
const open: { close: () => Promise<void> }[] = [];

afterEach(async () => {
  for (const closable of open.splice(0).toReversed()) await closable.close();
});

async function start(
  ports: Partial<PrivatePorts> = {},
  options: { isOpenToOperators?: boolean; port?: number } = {},
): Promise<string> {
  const { isOpenToOperators = true, port = 0 } = options;
  const server: HttpServer = createPrivateServer(
    {
      host: '127.0.0.1',
      port,
      console: isOpenToOperators
        ? { user: 'ops', passwordHash: new Secret(await hashPassword(password)) }
        : undefined,
      api: { keys: [], requestsPerMinuteMax: 6_000 },
    },
    {
      operations: noOperations,
      accessTokens: noAccessTokens,
      observeApiRequest: () => undefined,
      readiness: async () => summarizeHealth(['database', 'queues'], []),
      renderMetrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
      boardQueues: [],
      logger: createLogger({ level: 'silent' }),
      ...ports,
    },
  );
  open.push(server);
  return (await server.listen()).url;
}

function login(user: string, secret: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` };
}

describe('health', () => {
  test('live is 200 while a service fails, and ready is 503 and names the service', async () => {
    const url = await start({
      readiness: async () =>
        summarizeHealth(
          ['database', 'queues'],
          [{ check: 'queues', reason: 'read_only', error: new Error('canary') }],
        ),
    });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    const ready = await fetch(`${url}/health/ready`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({
      status: 'not_ready',
      checks: { database: true, queues: false },
      causes: [{ check: 'queues', reason: 'read_only' }],
    });
  });

  test('ready is 200 while work only waits, and names what it waits for', async () => {
    const url = await start({
      readiness: async () =>
        summarizeHealth(
          ['queues', 'scans'],
          [
            { check: 'queues', reason: 'paused', names: ['notify'] },
            { check: 'scans', reason: 'late', names: ['reconciliation.scan'] },
          ],
        ),
    });
    const ready = await fetch(`${url}/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({
      status: 'degraded',
      checks: { queues: false, scans: false },
      causes: [
        { check: 'queues', reason: 'paused', names: ['notify'] },
        { check: 'scans', reason: 'late', names: ['reconciliation.scan'] },
      ],
    });
  });

  test('ready is 200 while every service answers', async () => {
    const url = await start();
    const ready = await fetch(`${url}/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ status: 'ok' });
  });
});

describe('private listener', () => {
  test('serves metrics without a login', async () => {
    const url = await start();
    const answer = await fetch(`${url}/metrics`);
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    expect(await answer.text()).toBe('up 1\n');
  });

  test('answers an internal fault with 500 and no detail', async () => {
    const url = await start({
      renderMetrics: async () => {
        throw new Error('hunter2');
      },
    });
    const answer = await fetch(`${url}/metrics`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).toBe('refused');
  });

  test('names the variable to change if its port is taken', async () => {
    const port = Number(new URL(await start()).port);
    await expect(start({}, { port })).rejects.toMatchObject({
      code: 'port_taken',
      message: expect.stringMatching(new RegExp(`${port}.*OPS_PORT`)),
    });
  });
});

describe('queue board', () => {
  test('is off without a configured login, and says what to set', async () => {
    const url = await start({}, { isOpenToOperators: false });
    for (const path of ['/queues', '/queues/api/queues']) {
      const answer = await fetch(`${url}${path}`, { headers: login('ops', password) });
      expect(answer.status).toBe(404);
      expect(await answer.text()).toMatch(/CONSOLE_USER.*CONSOLE_PASSWORD_HASH/);
    }
  });

  test('opens only for the right user with the right password', async () => {
    const url = await start();
    const paths = ['/queues', '/queues/', '/queues/api/queues', '/queues/static/x.js'];
    const attempts: (readonly [string, Record<string, string>])[] = [
      ...paths.map((path) => [path, {}] as const),
      ...paths.map((path) => [path, login('ops', 'wrong')] as const),
      ['/queues', login('root', password)],
      ['/queues', login('', '')],
      ['/queues', { authorization: 'Basic ???' }],
      ['/queues', { authorization: `Bearer ${password}` }],
    ];
    for (const [path, headers] of attempts) {
      const answer = await fetch(`${url}${path}`, { headers });
      expect(answer.status, path).toBe(401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
    }
    const answer = await fetch(`${url}/queues`, { headers: login('ops', password) });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('token-lifecycle-worker');
  });

  test('blocks an address after too many failed logins', async () => {
    const url = await start();
    const statuses: number[] = [];
    for (let count = 0; count < 12; count += 1) {
      statuses.push((await fetch(`${url}/queues`, { headers: login('ops', 'guess') })).status);
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    // Beyond the limit even the right password is refused, so that guessing reveals nothing.
    const right = await fetch(`${url}/queues`, { headers: login('ops', password) });
    expect(right.status).toBe(429);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });

  test('counts neither requests without a login nor successful logins as failures', async () => {
    const url = await start();
    const statuses = new Set<number>();
    for (let count = 0; count < 15; count += 1) {
      expect((await fetch(`${url}/queues`)).status).toBe(401);
      statuses.add((await fetch(`${url}/queues`, { headers: login('ops', password) })).status);
    }
    expect([...statuses]).toEqual([200]);
  });

  test('shows ids but no content, and refuses every change', async ({ databaseUrl }) => {
    await migrateQueueSchema(databaseUrl);
    const backend = await openQueueBackend({ kind: 'postgres', databaseUrl }, () => undefined);
    open.push(backend);
    const queue = backend.queue('tokenization');
    const payload = { v: 1, tokenizationId: 'id-77', billing: { email: 'canary@example.com' } };
    const job = await queue.add('tokenization.request', payload);
    const url = await start({ boardQueues: [queue] });
    const headers = login('ops', password);

    const board = await fetch(`${url}/queues/api/queues?activeQueue=tokenization`, { headers });
    const one = await fetch(`${url}/queues/api/queues/tokenization/${job.id}`, { headers });
    for (const answer of [board, one]) {
      const shown = await answer.text();
      expect(answer.status).toBe(200);
      expect(shown).toContain('id-77');
      expect(shown).not.toContain('canary');
    }

    const changes = [
      ['PUT', `/queues/api/queues/tokenization/pause`],
      ['PUT', `/queues/api/queues/tokenization/${job.id}/clean`],
      ['PUT', `/queues/api/queues/tokenization/obliterate`],
      ['PUT', `/queues/api/queues/tokenization/empty`],
      ['POST', `/queues/api/queues/tokenization/add`],
      ['PATCH', `/queues/api/queues/tokenization/${job.id}/update-data`],
    ] as const;
    for (const [method, path] of changes) {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'x', data: {}, jobData: {}, options: {} }),
      });
      expect(answer.status, `${method} ${path}`).toBeGreaterThanOrEqual(400);
      expect(answer.status, `${method} ${path}`).toBeLessThan(500);
    }
    expect(await queue.isPaused()).toBe(false);
    expect(await queue.getWaitingCount()).toBe(1);
    expect((await queue.getJob(job.id ?? ''))?.data).toEqual(payload);
  });
});
