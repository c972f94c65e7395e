import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { freePort, startEmbeddedPostgres } from '../../../src/db/connection/embedded-postgres.ts';
import { type Candidate, candidatesOf, dockerPlace, firstFound, keepsJobs } from './first-found.ts';

export { freePort };

/** A service that tests use. */
export interface Service {
  readonly url: string;
  /** How it was found, for the line printed at the start of a run. */
  readonly origin: string;
  readonly close: () => Promise<void>;
}

const noClose = async (): Promise<void> => undefined;

/**
 * Finds PostgreSQL: the one named in the environment, a container, a local server, or an embedded
 * one, in this order. Throws if none is usable.
 */
export async function findPostgres(env: NodeJS.ProcessEnv): Promise<Service> {
  const { found, passedOver } = await firstFound(
    candidatesOf(namedIn(env, 'TEST_DATABASE_URL'), [
      { name: 'a PostgreSQL container', look: async () => await onDocker(env, startPostgres) },
      { name: 'the local PostgreSQL', look: localPostgres },
      { name: 'the embedded PostgreSQL', look: embeddedPostgres },
    ]),
  );
  if (found === undefined) throw new Error(`No PostgreSQL for the tests. ${passedOver.join(' ')}`);
  printWarnings(passedOver);
  return found;
}

/**
 * Finds a Redis that never evicts: the one named in the environment, a container, a local server,
 * or a binary on the path, in this order. Undefined if there is none.
 */
export async function findRedis(env: NodeJS.ProcessEnv): Promise<Service | undefined> {
  const { found, passedOver } = await firstFound(
    candidatesOf(namedIn(env, 'TEST_REDIS_URL'), [
      { name: 'a Redis container', look: async () => await onDocker(env, startRedis) },
      { name: 'the Redis on 127.0.0.1:6379', look: localRedis },
      { name: 'redis-server', look: async () => await spawnRedis('redis-server') },
      { name: 'valkey-server', look: async () => await spawnRedis('valkey-server') },
    ]),
  );
  printWarnings(passedOver);
  return found;
}

function namedIn(env: NodeJS.ProcessEnv, variable: string): Candidate<Service> | undefined {
  const url = env[variable];
  if (url === undefined || url === '') return undefined;
  return { name: variable, look: async () => ({ url, origin: variable, close: noClose }) };
}

function printWarnings(sentences: readonly string[]): void {
  for (const sentence of sentences) console.warn(`services: ${sentence}`);
}

/** Probes the Docker engine first, since starting a container can take minutes to fail. */
async function onDocker(
  env: NodeJS.ProcessEnv,
  start: () => Promise<Service>,
): Promise<Service | undefined> {
  const place = dockerPlace(env['DOCKER_HOST']);
  return place !== undefined && (await isListening(place)) ? await start() : undefined;
}

async function startPostgres(): Promise<Service> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer('postgres:18')
    .withEnvironment({ POSTGRES_PASSWORD: 'test' })
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start();
  const url = `postgres://postgres:test@${container.getHost()}:${container.getMappedPort(5432)}/postgres`;
  return { url, origin: 'container postgres:18', close: async () => void (await container.stop()) };
}

async function startRedis(): Promise<Service> {
  const { GenericContainer } = await import('testcontainers');
  const container = await new GenericContainer('redis:8')
    .withCommand(['redis-server', '--maxmemory-policy', 'noeviction', '--appendonly', 'yes'])
    .withExposedPorts(6379)
    .start();
  const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
  return { url, origin: 'container redis:8', close: async () => void (await container.stop()) };
}

async function localPostgres(): Promise<Service | undefined> {
  for (const user of new Set([userInfo().username, 'root', 'postgres'])) {
    const url = `postgres://${user}@127.0.0.1:5432/postgres`;
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ may: boolean }>(
        `select rolsuper and current_setting('server_version_num')::int >= 150000 as may
         from pg_roles where rolname = current_user`,
      );
      if (rows[0]?.may === true) return { url, origin: 'local server', close: noClose };
    } catch {
      // The next user may work.
    } finally {
      await client.end().catch(noClose);
    }
  }
  return undefined;
}

async function embeddedPostgres(): Promise<Service> {
  const server = await startEmbeddedPostgres();
  return { url: server.url, origin: 'embedded-postgres', close: server.close };
}

async function localRedis(): Promise<Service | undefined> {
  const url = 'redis://127.0.0.1:6379';
  if (!(await isListening({ host: '127.0.0.1', port: 6379 }))) return undefined;
  const client = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    retryStrategy: () => null,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    if (keepsJobs(await client.info('memory')))
      return { url, origin: 'local server', close: noClose };
  } catch (cause) {
    throw new Error('the server on this port is no Redis', { cause });
  } finally {
    client.disconnect();
  }
  throw new Error('its maxmemory-policy is not noeviction, so it may lose jobs');
}

/** Starts a Redis on a free port or on `wantedPort`, without persistence unless `extra` sets it. */
export async function spawnRedis(
  binary: string,
  wantedPort?: number,
  extra: readonly string[] = [],
): Promise<Service | undefined> {
  const port = wantedPort ?? (await freePort());
  const directory = await mkdtemp(join(tmpdir(), 'token-lifecycle-redis-'));
  const settings = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  const server = spawn(
    binary,
    [...settings, '--maxmemory-policy', 'noeviction', '--dir', directory, ...extra],
    { stdio: 'ignore' },
  );
  const ended = new Promise<void>((resolve) => {
    server.once('error', () => resolve());
    server.once('exit', () => resolve());
  });
  const close = async (): Promise<void> => {
    server.kill();
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    if (server.pid === undefined || server.exitCode !== null) break;
    if (await isListening({ host: '127.0.0.1', port })) {
      return { url: `redis://127.0.0.1:${port}`, origin: `${binary} on the path`, close };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await close();
  return undefined;
}

/** Whether a process listens at this address. */
export async function isListening(
  place: { path: string } | { host: string; port: number },
): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ ...place, timeout: 500 });
    const settle = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}

/** Starts a Redis or Valkey on this port; undefined if neither is on the path. */
export async function spawnAnyRedis(
  port: number,
  extra: readonly string[] = [],
): Promise<Service | undefined> {
  return (
    (await spawnRedis('redis-server', port, extra)) ??
    (await spawnRedis('valkey-server', port, extra))
  );
}
