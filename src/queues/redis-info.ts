import type { Redis } from 'ioredis';
import { AppError } from '../domain/errors.ts';
import { describePlace, nodeOf, type RedisPlace } from './redis-place.ts';

/** What decides whether a server can hold the queues. */
export interface RedisServerInfo {
  readonly isCluster: boolean;
  readonly isSentinel: boolean;
  readonly isReplica: boolean;
  readonly isLoading: boolean;
  /** Undefined where the server does not say, as some managed services. */
  readonly evictionPolicy: string | undefined;
}

/**
 * Reads cluster mode, Sentinel mode, role, loading state and eviction policy from INFO. Throws the
 * error of the connection or of Redis.
 */
export async function readServerInfo(server: Redis): Promise<RedisServerInfo> {
  let fault: unknown;
  const keepFault = (error: unknown): void => {
    fault = error;
  };
  server.on('error', keepFault);
  try {
    if (server.status === 'wait') await server.connect();
    return parseInfo(await server.info());
  } catch (error) {
    // A refused connection rejects with "Connection is closed"; the event before it has the reason.
    throw fault ?? error;
  } finally {
    server.off('error', keepFault);
    server.on('error', () => undefined);
  }
}

function parseInfo(text: string): RedisServerInfo {
  const valueOf = (field: string): string | undefined =>
    new RegExp(`^${field}:(\\S+)`, 'm').exec(text)?.[1];
  return {
    isCluster: valueOf('cluster_enabled') === '1',
    isSentinel: valueOf('redis_mode') === 'sentinel',
    isReplica: valueOf('role') === 'slave',
    isLoading: valueOf('loading') === '1',
    evictionPolicy: valueOf('maxmemory_policy'),
  };
}

/**
 * Refuses a server that can't hold the queues. Throws `config_invalid`, `queue_unavailable` or
 * `queue_policy_invalid`.
 */
export function assertUsable(info: RedisServerInfo, place: RedisPlace): void {
  const where = describePlace(place);
  if (info.isSentinel) {
    throw new AppError(
      'config_invalid',
      `REDIS_URL: ${where} is a Sentinel: name it in REDIS_SENTINELS, and the primary's name in REDIS_SENTINEL_NAME.`,
    );
  }
  if (info.isCluster) {
    assertClusterPlace(place, where);
  } else if (place.urls.length > 1) {
    throw new AppError(
      'config_invalid',
      `REDIS_URL: several addresses name a cluster, but ${where} is none: give the one address of the primary, or REDIS_SENTINELS.`,
    );
  } else if (info.isReplica) {
    throw new AppError(
      'queue_unavailable',
      `Redis on ${where} is a replica and takes no writes (READONLY): name the primary in REDIS_URL, or the Sentinels in REDIS_SENTINELS.`,
    );
  }
  if (info.isLoading) {
    throw new AppError(
      'queue_unavailable',
      `Redis on ${where} is still loading its data (LOADING): start the worker again when it is done.`,
    );
  }
  assertNoEviction(info.evictionPolicy, where);
}

function assertClusterPlace(place: RedisPlace, where: string): void {
  if (place.sentinels !== undefined) {
    throw new AppError(
      'config_invalid',
      `REDIS_SENTINELS: ${where} is a node of a cluster: name it in REDIS_URL, without Sentinels.`,
    );
  }
  if (place.urls.some((url) => nodeOf(url).db !== undefined)) {
    throw new AppError(
      'config_invalid',
      `REDIS_URL: ${where} is a cluster, which has no numbered databases: leave out the path.`,
    );
  }
}

/** Eviction deletes locks and jobs without an error. */
function assertNoEviction(policy: string | undefined, where: string): void {
  if (policy === undefined || policy === 'noeviction') return;
  throw new AppError(
    'queue_policy_invalid',
    `Redis on ${where} may evict keys (maxmemory-policy is not noeviction), which loses jobs: set maxmemory-policy to noeviction.`,
  );
}
