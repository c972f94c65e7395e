import { connect } from 'node:net';
import { describe, expect, inject } from 'vitest';
import { withClient } from '../../src/db/connection/database.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { connectEnqueuer, type Enqueuer } from '../support/harness/enqueuer.ts';
import { eventually } from '../support/eventually.ts';
import { test as base } from '../support/harness/fixtures.ts';
import { freePort, spawnAnyRedis } from '../support/services/services.ts';
import { backends, startTestWorker, type TestWorker } from '../support/harness/worker.ts';
import { redriveJob } from '../../src/dead-letter/redrive.ts';

const test = base.extend('backend', async ({ databaseUrl }, { onCleanup }): Promise<Enqueuer> => {
  const backend = await connectEnqueuer(databaseUrl);
  onCleanup(backend.close);
  return backend;
});

const shopEnv = { CALLBACK_PUBLIC_URL: 'https://pay.example.com' };

/** A request with a canary in each personal field; the sandbox answers it at once. */
function plantedRequest(referenceId?: string) {
  const payload = requestPayload({
    remark: 'sandbox:direct',
    ...(referenceId === undefined ? {} : { referenceId }),
  });
  return {
    ...payload,
    billing: { ...payload.billing, lastname: 'canary', email: 'canary@example.com' },
    customer: { id: 'canary-customer' },
  };
}

function pushOf(worker: TestWorker, reference: string): string {
  const { account, terminal } = worker.account;
  return (
    `<response><account>${account}</account><terminal>${terminal}</terminal>` +
    `<merchant_reference_id>${reference}</merchant_reference_id><quickpay_status>0</quickpay_status>` +
    '<billing_email>canary@example.com</billing_email></response>'
  );
}

async function untilActive({ app }: TestWorker, id: string): Promise<void> {
  await eventually('it becomes active', async () => {
    return (await findTokenization(app.operations.db, id))?.state === 'active';
  });
}

async function untilEmpty({ app }: TestWorker): Promise<void> {
  await eventually('the outbox is empty', async () => {
    return (await readOutboxBacklog(app.operations.db)).rows === 0;
  });
}

describe.for(backends)('the relay, with queues on %s', (kind) => {
  test('seals a payload enqueued by SQL before it reaches a queue, and gives the caller its id', async ({
    databaseUrl,
    backend,
    skip,
  }) => {
    const worker = await startTestWorker({ databaseUrl, backend: kind, env: shopEnv });
    if (worker === undefined) return skip('no Redis');
    const monitor = kind === 'redis' ? await watchRedis(worker.prefix) : undefined;
    try {
      const { db } = worker.app.operations;
      const id = await backend.enqueue('tokenization.request', plantedRequest('o-1'), 'o-1');
      await untilActive(worker, id);
      const pushId = await backend.enqueue('notify.handle', {
        v: 1,
        contentType: 'application/xml',
        body: pushOf(worker, 'o-2'),
        sourceIp: '203.0.113.77',
      });
      const redirectId = await backend.enqueue('callback.verify', {
        v: 1,
        body: `account=${worker.account.account}&terminal=${worker.account.terminal}&merchant_reference_id=o-3&quickpay_status=1&note=canary`,
      });
      await eventually('both messages are judged', async () => {
        const rows = await db.selectFrom('callback').select(['id', 'state']).execute();
        return [pushId, redirectId].every((callbackId) =>
          rows.some((row) => row.id === callbackId && row.state !== 'received'),
        );
      });
      await backend.enqueue('token.disable', { v: 1, tokenizationId: id });
      await eventually('the token is disabled', async () => {
        return (await findTokenization(db, id))?.state === 'disabled';
      });
      await backend.enqueue('access-token.refresh', { v: 1, credential: 'default' });
      await eventually('an access token is issued', async () => {
        return (
          (await db.selectFrom('access_token').select('state').execute())[0]?.state === 'fresh'
        );
      });
      await untilEmpty(worker);
      const actors = await db
        .selectFrom('audit_event')
        .select('actor_id')
        .where('entity_id', '=', id)
        .where('event', 'in', ['tokenization.requested', 'token.disabling'])
        .execute();
      const { rows } = await backend.client.query<{ login: string }>(
        'select session_user as login',
      );
      const actor = `sql:${rows[0]?.login}`;
      expect(actors.map(({ actor_id }) => actor_id)).toEqual([actor, actor]);
      expect(rows[0]?.login).not.toBe(backend.role);
      expect(await dumpDatabase(databaseUrl)).not.toMatch(/canary|203\.0\.113\.77/);
      expect(worker.logs.join('')).not.toMatch(/canary|203\.0\.113\.77/);
      if (monitor !== undefined) {
        expect(monitor.spoken()).toContain(id);
        expect(monitor.spoken()).not.toMatch(/canary|203\.0\.113\.77/);
        expect(await dumpRedis(worker.prefix)).not.toContain('canary');
      }
      expect(await findAuditBreaks(db)).toEqual([]);
    } finally {
      monitor?.close();
      await worker.close();
    }
  });

  test('buries rows that can never be accepted, with sealed payloads, and relays the other rows', async ({
    databaseUrl,
    backend,
    skip,
  }) => {
    const worker = await startTestWorker({ databaseUrl, backend: kind, env: shopEnv });
    if (worker === undefined) return skip('no Redis');
    try {
      const { client, enqueue, role } = backend;
      const { db } = worker.app.operations;
      await enqueue('tokenization.request', plantedRequest('same'));
      await client.query('begin');
      const before = await enqueue('tokenization.request', plantedRequest());
      const good = plantedRequest();
      await enqueue('tokenization.request', { ...good, credential: 'no-such-name' }, 'k');
      await enqueue('tokenization.request', { ...good, returnUrl: 'https://evil.example/' }, 'k');
      await enqueue('tokenization.request', { ...good, returnUrl: 'https://[canary' }, 'k');
      await enqueue('tokenization.request', { ...plantedRequest('same'), voucher_info: 'other' });
      await client.query('reset role');
      await client.query(`
        insert into token_lifecycle.outbox (queue, job_name, job_id, payload) values
          ('unheard-of', 'token.disable', 'redrive-00000000-0000-4000-8000-000000000001-g1', '{"canary": "canary"}'),
          ('notify', 'unheard.of', 'redrive-00000000-0000-4000-8000-000000000002-g1', '{"canary": "canary"}'),
          ('notify', 'notify.handle', 'redrive-00000000-0000-4000-8000-000000000003-g1', '{"v": 1, "canary": "canary"}'),
          ('notify', 'notify.handle', '12345', '{"v": 1, "callbackId": "00000000-0000-4000-8000-000000000003"}')`);
      await client.query(`set role ${role}`);
      const after = await enqueue('tokenization.request', plantedRequest(), 'k');
      await client.query('commit');

      await untilActive(worker, before);
      await untilActive(worker, after);
      await untilEmpty(worker);
      const letters = await listDeadLetters(db, 100);
      expect(letters.map(({ code, paths }) => [code, ...paths].join(' ')).toSorted()).toEqual(
        [
          'credential_not_found credential',
          'job_unknown jobId',
          'job_unknown name',
          'job_unknown queue',
          'payload_invalid body *',
          'payload_invalid returnUrl',
          'reference_conflict merchant.referenceId',
          'return_url_not_allowed returnUrl',
        ].toSorted(),
      );
      expect(await dumpDatabase(databaseUrl)).not.toContain('canary');
      expect(worker.logs.join('')).not.toContain('canary');

      // Once the cause is removed, a redrive passes through the same operations.
      const letter = letters.find(({ code }) => code === 'credential_not_found');
      await withClient(databaseUrl, async (owner) => {
        await owner.query(
          `update token_lifecycle.credential set name = 'no-such-name' where family = 'accept_payments'`,
        );
      });
      await redriveJob(worker.app.operations, letter?.id ?? '', { actor: testActor });
      await eventually('the redriven request is active', async () => {
        const rows = await db
          .selectFrom('tokenization')
          .select('state')
          .where('merchant_reference_id', '=', good.merchant.referenceId)
          .execute();
        return rows[0]?.state === 'active';
      });
      await untilEmpty(worker);
      expect(await dumpDatabase(databaseUrl)).not.toContain('canary');
    } finally {
      await worker.close();
    }
  });

  test('polls for rows whose NOTIFY was lost, and listens again after its connection was lost', async ({
    databaseUrl,
    backend,
    skip,
  }) => {
    const worker = await startTestWorker({ databaseUrl, backend: kind, env: shopEnv });
    if (worker === undefined) return skip('no Redis');
    try {
      const first = await eventually('it listens', async () => await listenerOf(databaseUrl));
      await withClient(databaseUrl, async (client) => {
        await client.query('select pg_terminate_backend($1)', [first]);
      });
      await backend.client.query("set token_lifecycle.notify = 'off'");
      await untilActive(worker, await backend.enqueue('tokenization.request', plantedRequest()));
      const second = await eventually('it listens again', async () => {
        const pid = await listenerOf(databaseUrl);
        return pid === first ? undefined : pid;
      });
      expect(second).not.toBe(first);
      await backend.client.query("set token_lifecycle.notify = 'on'");
      await untilActive(worker, await backend.enqueue('tokenization.request', plantedRequest()));
    } finally {
      await worker.close();
    }
  });
});

describe('the relay, while a queue is unavailable', () => {
  test('seals rows at once, keeps them, and counts no attempts', async ({
    databaseUrl,
    backend,
    skip,
  }) => {
    const port = await freePort();
    const redis = await spawnAnyRedis(port);
    if (redis === undefined) return skip('no redis-server on the path');
    const worker = await startTestWorker({
      databaseUrl,
      backend: 'redis',
      env: { ...shopEnv, REDIS_URL: `redis://127.0.0.1:${port}` },
    });
    if (worker === undefined) return skip('no Redis');
    try {
      const { db } = worker.app.operations;
      await redis.close();
      const id = await backend.enqueue('tokenization.request', plantedRequest(), 'k');
      await eventually('it is sealed', async () => {
        // Jobs of the start may wait beside it, if the queue became unavailable before them.
        const rows = await db.selectFrom('outbox').select('job_id').execute();
        return rows.some(({ job_id: jobId }) => jobId === `request-${id}-g1`);
      });
      expect(await dumpDatabase(databaseUrl)).not.toContain('canary');
      const again = await spawnAnyRedis(port);
      try {
        await untilActive(worker, id);
        await untilEmpty(worker);
        expect(await listDeadLetters(db, 10)).toEqual([]);
      } finally {
        await worker.close();
        await again?.close();
      }
    } finally {
      await worker.close();
    }
  });
});

interface Watch {
  /** The commands about keys with the prefix, one a line. */
  readonly spoken: () => string;
  readonly close: () => void;
}

/**
 * Records every command that Redis receives from now on. It uses a plain socket: ioredis misreads a
 * MONITOR whose first line arrives before its OK.
 */
async function watchRedis(prefix: string): Promise<Watch> {
  const { hostname, port, username, password } = new URL(inject('redisUrl'));
  const socket = connect(Number(port || 6379), hostname);
  if (password !== '') socket.write(`AUTH ${username || 'default'} ${password}\r\n`);
  socket.write('MONITOR\r\n');
  let heard = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk));
  await eventually('Redis is watched', () => heard.includes('+OK'));
  return {
    spoken: () =>
      heard
        .split('\r\n')
        .filter((line) => line.includes(prefix))
        .join('\n'),
    close: () => socket.destroy(),
  };
}

async function listenerOf(databaseUrl: string): Promise<number | undefined> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database()
         and application_name = 'token_lifecycle_enqueue' and query like 'listen%'`,
    );
    return rows[0]?.pid;
  });
}
