import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { openQueueBackend, type QueueBackend } from '../../src/queues/backend.ts';
import { storeFaultCause } from '../../src/domain/store-fault.ts';
import type { RedisPlace } from '../../src/queues/redis-place.ts';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { openShop } from '../support/harness/shop.ts';
import { startTestWorker } from '../support/harness/worker.ts';
import { runProgram } from '../support/services/programs.ts';
import { startRedisCluster, startRedisServer } from '../support/services/redis-servers.ts';
import { freePort } from '../support/services/services.ts';
import { startSentinel } from '../support/services/sentinel.ts';

async function open(place: RedisPlace): Promise<QueueBackend> {
  const backend = await openQueueBackend({ kind: 'redis', prefix: 'p', ...place }, () => undefined);
  onTestFinished(backend.close);
  return backend;
}

async function faultOf(place: RedisPlace): Promise<string> {
  try {
    await open(place);
    return 'none';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Runs one request to its end on this Redis. */
async function runOneRequest(
  databaseUrl: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const worker = await startTestWorker({ databaseUrl, backend: 'redis', env });
  if (worker === undefined) throw new Error('there is no Redis');
  try {
    const { tokenization } = await openShop(worker).accept({ remark: 'sandbox:direct' });
    await eventually('the tokenization becomes active', async () => {
      const row = await findTokenization(worker.app.operations.db, tokenization.id);
      return row?.state === 'active';
    });
  } finally {
    await worker.close();
  }
}

describe('a cluster', () => {
  test('one address of three nodes is enough, with a password for all of them', async ({
    databaseUrl,
  }) => {
    const nodes = await startRedisCluster(3, 'hunter2');
    await runOneRequest(databaseUrl, { REDIS_URL: nodes[0]?.url ?? '' });
    const sizes = await Promise.all(nodes.map(async ({ admin }) => await admin.dbsize()));
    expect(sizes.filter((size) => size > 0).length).toBeGreaterThan(1);
  });

  test('the URLs must fit what the server reports about itself', async () => {
    const [node] = await startRedisCluster(1);
    const url = node?.url ?? '';
    expect(await faultOf({ urls: [`${url}/3`] })).toContain(
      `REDIS_URL: 127.0.0.1:${node?.port} is a cluster, which has no numbered databases`,
    );
    expect(await faultOf({ urls: [url] })).toContain(
      'is a cluster that names no node which the worker can reach: set cluster-announce-ip',
    );
    await node?.admin.config('SET', 'cluster-announce-ip', '127.0.0.1');
    expect(await faultOf({ urls: [url] })).toBe('none');
    const single = await startRedisServer();
    expect(await faultOf({ urls: [single.url, single.url] })).toMatch(
      /^REDIS_URL: several addresses name a cluster, but .* is none/,
    );
  });
});

describe('Sentinels', () => {
  test('name the primary, and the worker follows a failover', async ({ databaseUrl }) => {
    const primary = await startRedisServer();
    const replica = await startRedisServer();
    await replica.admin.replicaof('127.0.0.1', primary.port);
    const sentinel = await startSentinel(primary.port);
    const worker = await startTestWorker({
      databaseUrl,
      backend: 'redis',
      env: {
        REDIS_URL: '',
        REDIS_SENTINELS: `127.0.0.1:${sentinel.port}`,
        REDIS_SENTINEL_NAME: sentinel.name,
      },
    });
    if (worker === undefined) throw new Error('there is no Redis');
    try {
      const shop = openShop(worker);
      const run = async (): Promise<void> => {
        const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
        await eventually('the tokenization becomes active', async () => {
          const row = await findTokenization(worker.app.operations.db, tokenization.id);
          return row?.state === 'active';
        });
      };
      await run();
      await sentinel.failOver();
      await run();
      expect(await replica.admin.role()).toContain('master');
    } finally {
      await worker.close();
    }
  });

  test('that do not know the name, and a Sentinel in REDIS_URL, are reported', async () => {
    const primary = await startRedisServer();
    const { port, name } = await startSentinel(primary.port);
    const addresses = [`redis://127.0.0.1:${port}`];
    expect(await faultOf({ urls: [], sentinels: { addresses, name: `${name}x` } })).toContain(
      'is unknown to its Sentinels: correct REDIS_SENTINEL_NAME',
    );
    expect(await faultOf({ urls: addresses })).toMatch(/is a Sentinel: name it in REDIS_SENTINELS/);
    const away = [`redis://127.0.0.1:${await freePort()}`];
    expect(await faultOf({ urls: [], sentinels: { addresses: away, name } })).toMatch(
      /^Redis does not answer on orders .*: start it, or correct REDIS_SENTINELS/,
    );
  });
});

describe('a Redis that refuses the worker is reported with its error code', () => {
  test('NOAUTH, WRONGPASS and NOPERM', async () => {
    const { admin, port } = await startRedisServer([], 'hunter2');
    await admin.call(
      'acl',
      'setuser',
      'reader',
      'on',
      '>pw',
      '~*',
      '+@read',
      '+info',
      '+@connection',
    );
    const urlOf = (login: string): RedisPlace => ({ urls: [`redis://${login}127.0.0.1:${port}`] });
    expect(await faultOf(urlOf(''))).toContain('asks for a password');
    expect(await faultOf(urlOf(''))).toContain('(NOAUTH)');
    expect(await faultOf(urlOf(':wrong@'))).toContain('(WRONGPASS)');
    expect(await faultOf(urlOf('reader:pw@'))).toContain('(NOPERM)');
    expect(await faultOf(urlOf(':hunter2@'))).toBe('none');
  });

  test.for([
    ['one command of its scripts', '~*', '&*', '+@all', '-zremrangebyrank'],
    ['scripts', '~*', '&*', '+@all', '-@scripting'],
    ['the wait for jobs', '~*', '&*', '+@all', '-bzpopmin'],
    ['the keys of one queue', '~p:tokenization:*', '+@all'],
  ])('NOPERM of a user without %s, at start', async ([, ...rules]) => {
    const { admin, port } = await startRedisServer();
    await admin.call('acl', 'setuser', 'worker', 'on', '>pw', ...rules);
    const place = { urls: [`redis://worker:pw@127.0.0.1:${port}`] };
    expect(await faultOf(place)).toMatch(/does not permit its user what BullMQ does: .*\(NOPERM\)/);
    await admin.call('acl', 'setuser', 'worker', '~*', '&*', '+@all');
    expect(await faultOf(place)).toBe('none');
  });

  test('NOPERM inside a script, of a user whose rights were withdrawn', async () => {
    const { admin, port } = await startRedisServer();
    await admin.call('acl', 'setuser', 'worker', 'on', '>pw', '~*', '&*', '+@all');
    const backend = await open({ urls: [`redis://worker:pw@127.0.0.1:${port}`] });
    for (const rules of [['-hmset'], ['+hmset', '-xadd'], ['+xadd', 'resetkeys', '~p:notify:*']]) {
      await admin.call('acl', 'setuser', 'worker', ...rules);
      const fault: unknown = await backend
        .queue('tokenization')
        .add('job', {})
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(storeFaultCause(fault), rules.join(' ')).toBe('NOPERM');
      await expect(backend.proveWrite()).rejects.toThrow('(NOPERM)');
    }
  });

  test('READONLY of a replica, LOADING of one that starts, OOM of a full one', async () => {
    const primary = await startRedisServer();
    const replica = await startRedisServer(['--replicaof', '127.0.0.1', String(primary.port)]);
    expect(await faultOf({ urls: [replica.url] })).toContain('takes no writes (READONLY)');
    await primary.admin.config('SET', 'maxmemory', '1mb');
    expect(await faultOf({ urls: [primary.url] })).toContain('is full: raise its maxmemory');

    const directory = await mkdtemp(join(tmpdir(), 'tlw-redis-'));
    onTestFinished(async () => await rm(directory, { recursive: true, force: true }));
    const full = await startRedisServer(['--dir', directory, '--enable-debug-command', 'yes']);
    await full.admin.call('debug', 'populate', '5000');
    await full.admin.save();
    // A millisecond for each key, with an answer to clients in between.
    const slow = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'];
    const loading = await startRedisServer(['--dir', directory, ...slow]);
    expect(await faultOf({ urls: [loading.url] })).toContain('(LOADING)');
  });

  test('self-signed certificates, and TLS that only one side speaks', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tlw-redis-'));
    onTestFinished(async () => await rm(directory, { recursive: true, force: true }));
    const files = [join(directory, 'key.pem'), join(directory, 'cert.pem')] as const;
    const request = `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout ${files[0]} -out ${files[1]}`;
    await runProgram('openssl', request.split(' '));
    const tlsPort = await freePort();
    const tls = `--tls-port ${tlsPort} --tls-key-file ${files[0]} --tls-cert-file ${files[1]} --tls-ca-cert-file ${files[1]} --tls-auth-clients no`;
    const plain = await startRedisServer(tls.split(' '));
    expect(await faultOf({ urls: [`rediss://localhost:${tlsPort}`] })).toContain(
      'name the file of its CA in NODE_EXTRA_CA_CERTS (self-signed certificate)',
    );
    expect(await faultOf({ urls: [`rediss://127.0.0.1:${plain.port}`] })).toContain(
      'does not answer in TLS',
    );
    expect(await faultOf({ urls: [`redis://127.0.0.1:${tlsPort}`] })).toContain(
      'if it is a TLS port, give a rediss:// URL',
    );
  });

  test('a server that is no Redis, no server, and no such host', async () => {
    const web = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void web.close());
    const address = web.address();
    const port = typeof address === 'object' ? address?.port : 0;
    expect(await faultOf({ urls: [`redis://127.0.0.1:${port}`] })).toContain(
      'does not speak the protocol of Redis',
    );
    expect(await faultOf({ urls: [`redis://127.0.0.1:${await freePort()}`] })).toMatch(
      /^Redis does not answer on 127.0.0.1:\d+ \(ECONNREFUSED\): start it, or correct REDIS_URL\.$/,
    );
    expect(await faultOf({ urls: ['redis://redis.invalid:6379'] })).toContain('does not resolve');
  });
});
