import { Cluster, Redis } from 'ioredis';
import { AppError } from '../domain/errors.ts';

/** A connection to one Redis or to a cluster. */
export type RedisConnection = Redis | Cluster;

const connectTimeoutMs = 5_000;

/**
 * Opens a connection that reconnects by itself. While Redis is unavailable, commands of a producer
 * fail at once and commands of a worker wait. Several URLs name the nodes of a cluster. Does not
 * throw for an unavailable Redis: see `assertRedisUsable`.
 */
export function connectRedis(
  urls: readonly string[],
  role: 'producer' | 'worker',
  onError: (error: Error) => void,
): RedisConnection {
  const enableOfflineQueue = role === 'worker';
  const maxRetriesPerRequest = role === 'worker' ? null : 1;
  const options = { enableOfflineQueue, maxRetriesPerRequest, connectTimeout: connectTimeoutMs };
  const connection =
    urls.length > 1
      ? new Cluster([...urls], { enableOfflineQueue, redisOptions: options })
      : new Redis(urls[0] ?? '', options);
  connection.on('error', onError);
  return connection;
}

/**
 * Waits until Redis answers and checks that it does not evict keys, since eviction deletes locks
 * and jobs without an error. Throws `queue_unavailable` or `queue_policy_invalid`.
 */
export async function assertRedisUsable(
  connection: RedisConnection,
  urls: readonly string[],
): Promise<void> {
  const place = urls.map(placeOf).join(', ');
  await ready(connection, place);
  let memory: string;
  try {
    memory = await connection.info('memory');
  } catch (cause) {
    throw unavailable(place, cause);
  }
  const policy = /maxmemory_policy:(\S+)/.exec(memory)?.[1];
  if (policy !== undefined && policy !== 'noeviction') {
    throw new AppError(
      'queue_policy_invalid',
      `Redis on ${place} may evict keys (maxmemory-policy is not noeviction), which loses jobs: set maxmemory-policy to noeviction.`,
    );
  }
}

async function ready(connection: RedisConnection, place: string): Promise<void> {
  if (connection.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      connection.off('ready', onReady);
      reject(unavailable(place, lastFault));
    }, connectTimeoutMs);
    let lastFault: unknown;
    const onFault = (error: unknown): void => {
      lastFault = error;
    };
    const onReady = (): void => {
      clearTimeout(timer);
      connection.off('error', onFault);
      resolve();
    };
    connection.on('error', onFault);
    connection.once('ready', onReady);
  });
}

function unavailable(place: string, cause: unknown): AppError {
  return new AppError(
    'queue_unavailable',
    `Redis does not answer on ${place}: start it, or correct REDIS_URL.`,
    { cause },
  );
}

function placeOf(url: string): string {
  try {
    const { hostname, port } = new URL(url);
    return `${hostname}:${port === '' ? '6379' : port}`;
  } catch {
    return 'the host in REDIS_URL';
  }
}
