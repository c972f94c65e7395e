import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { AppError } from '../domain/errors.ts';
import { storeFaultCause } from '../domain/store-fault.ts';
import { assertUsable, readServerInfo } from './redis-info.ts';
import { redisFault } from './redis-fault.ts';
import { nodeOf, type RedisPlace } from './redis-place.ts';

/** A connection to one Redis or to a cluster. */
export type RedisConnection = Redis | Cluster;

/** The connections of the queues. */
export interface RedisConnections {
  /** While Redis is unavailable, its commands fail at once. */
  readonly producer: RedisConnection;
  /** While Redis is unavailable, its commands wait. */
  readonly worker: RedisConnection;
  readonly isCluster: boolean;
  readonly close: () => void;
}

const connectTimeoutMs = 5_000;

/**
 * Connects to Redis, to a cluster of which one address is enough, or to the primary that Sentinels
 * name. Throws `config_invalid`, `queue_unavailable` or `queue_policy_invalid`, with the reason
 * code that Redis gave. Later the connections recover by themselves.
 *
 * @param onError called when a connection fails
 */
export async function connectRedis(
  place: RedisPlace,
  onError: (error: Error) => void,
): Promise<RedisConnections> {
  const isCluster = await checkServer(place);
  const open = (role: 'producer' | 'worker'): RedisConnection => {
    const connection = isCluster ? openCluster(place, role) : openRedis(place, optionsOf(role));
    connection.on('error', onError);
    return connection;
  };
  const producer = open('producer');
  const worker = open('worker');
  const close = (): void => {
    producer.disconnect();
    worker.disconnect();
  };
  try {
    await untilReady(producer, place);
    if (producer instanceof Cluster) await checkClusterNodes(producer, place);
  } catch (error) {
    close();
    throw error;
  }
  return { producer, worker, isCluster, close };
}

/** Checks that the server can hold the queues, and returns whether it is a node of a cluster. */
async function checkServer(place: RedisPlace): Promise<boolean> {
  // Some addresses of the list may be down; the first one that answers decides.
  const nodes = place.sentinels === undefined ? place.urls : [undefined];
  let fault: unknown;
  for (const url of nodes) {
    const probe = openRedis(url === undefined ? place : { urls: [url] }, {
      lazyConnect: true,
      // So that the check reports LOADING instead of waiting until the data is loaded.
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      sentinelRetryStrategy: () => null,
    });
    try {
      const info = await readServerInfo(probe);
      assertUsable(info, place);
      return info.isCluster;
    } catch (error) {
      if (error instanceof AppError) throw error;
      fault = error;
    } finally {
      probe.disconnect();
    }
  }
  throw redisFault(place, fault);
}

async function checkClusterNodes(cluster: Cluster, place: RedisPlace): Promise<void> {
  try {
    for (const node of cluster.nodes('master')) assertUsable(await readServerInfo(node), place);
  } catch (cause) {
    throw cause instanceof AppError ? cause : redisFault(place, cause);
  }
}

type ConnectionOptions = Pick<
  RedisOptions,
  | 'enableOfflineQueue'
  | 'enableReadyCheck'
  | 'lazyConnect'
  | 'maxRetriesPerRequest'
  | 'reconnectOnError'
  | 'retryStrategy'
  | 'sentinelRetryStrategy'
>;

/**
 * The reply of a primary that a failover made a replica, or of a replica that lost its primary. The
 * address may lead to the new primary by now, but a connection stays with the old one.
 */
const demotions = /\b(?:READONLY|UNBLOCKED|MASTERDOWN)\b/;

function optionsOf(role: 'producer' | 'worker'): ConnectionOptions {
  return {
    enableOfflineQueue: role === 'worker',
    maxRetriesPerRequest: role === 'worker' ? null : 1,
    reconnectOnError: ({ message }) => demotions.test(message),
  };
}

function openRedis({ urls, sentinels }: RedisPlace, options: ConnectionOptions): Redis {
  const { host, port, ...login } = nodeOf(urls[0]);
  const common = { ...login, connectTimeout: connectTimeoutMs, ...options };
  if (sentinels === undefined) return new Redis({ ...common, host, port });
  const entries = sentinels.addresses.map((address) => nodeOf(address, 26_379));
  return new Redis({
    ...common,
    name: sentinels.name,
    sentinels: entries.map(({ host: sentinel, port: sentinelPort }) => ({
      host: sentinel,
      port: sentinelPort,
    })),
    ...withoutUndefined({
      sentinelUsername: entries[0]?.username,
      sentinelPassword: entries[0]?.password,
      sentinelTLS: entries[0]?.tls,
    }),
    enableTLSForSentinelMode: login.tls !== undefined,
    // Subscribes to +switch-master: the connections to a demoted primary may stay open.
    failoverDetector: true,
  });
}

function openCluster({ urls }: RedisPlace, role: 'producer' | 'worker'): Cluster {
  const nodes = urls.map((url) => nodeOf(url));
  const { username, password, tls } = nodes[0] ?? nodeOf(undefined);
  const { enableOfflineQueue, ...redisOptions } = optionsOf(role);
  return new Cluster(
    nodes.map(({ host, port }) => ({ host, port })),
    {
      ...(enableOfflineQueue !== undefined && { enableOfflineQueue }),
      // The nodes that the cluster names have no login of their own.
      redisOptions: {
        connectTimeout: connectTimeoutMs,
        ...redisOptions,
        ...withoutUndefined({ username, password, tls }),
      },
      // A certificate names the host, not its address.
      ...(tls !== undefined && { dnsLookup: (host, callback) => callback(null, host) }),
    },
  );
}

function withoutUndefined<Options extends object>(
  options: Options,
): { [Key in keyof Options]: NonNullable<Options[Key]> } {
  const present = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [Key in keyof Options]: NonNullable<Options[Key]> };
}

async function untilReady(connection: RedisConnection, place: RedisPlace): Promise<void> {
  if (connection.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      connection.off('ready', onReady);
      // The server itself answered before; the addresses that it names for the nodes do not.
      const otherwise = connection instanceof Cluster ? 'unreachable nodes' : undefined;
      reject(redisFault(place, lastFault, storeFaultCause(lastFault) ?? otherwise));
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
