import {
  assertSchemaCompatibility,
  createPostgresBackend,
  type PostgresConnectionOptions,
  type Processor,
  Queue,
  type QueueOptions,
  Worker,
  withBackend,
  type WorkerOptions,
} from 'bullmq';
import { openQueuePool } from '../db/connection/queue-pool.ts';
import { writeProbe } from '../db/connection/write-probe.ts';
import { AppError } from '../domain/errors.ts';
import { type QueueName, queueNames } from '../domain/queue-names.ts';
import { connectRedis } from './redis.ts';
import { probeQueue } from './redis-probe.ts';
import { redisFault } from './redis-fault.ts';
import type { RedisPlace } from './redis-place.ts';

/** Where the queues live. */
export type QueueBackendOptions =
  | ({ readonly kind: 'redis'; readonly prefix: string } & RedisPlace)
  | {
      readonly kind: 'postgres';
      /** Leads to the server without a pooler. */
      readonly databaseUrl: string;
    };

/** A queue of either backend. */
export type AnyQueue = Queue;
/** A BullMQ worker of either backend. */
export type AnyWorker = Worker;

/** The options of a worker that are the same on both backends. */
export type WorkerTuning = Omit<WorkerOptions, 'connection' | 'prefix'>;

/** BullMQ on one of its backends. */
export interface QueueBackend {
  readonly kind: 'redis' | 'postgres';
  /** The queue of this name, always the same object. */
  readonly queue: (name: QueueName) => AnyQueue;
  readonly createWorker: (name: QueueName, processor: Processor, tuning: WorkerTuning) => AnyWorker;
  /** Resolves when the backend answers. */
  readonly ping: () => Promise<void>;
  /** Resolves when the backend has taken a write; rejects with `queue_unavailable`. */
  readonly proveWrite: () => Promise<void>;
  /** Closes queues and connections. The caller closes its workers before. */
  readonly close: () => Promise<void>;
}

const poolSpare = 12;

/**
 * Opens the queues. Throws `config_invalid`, `queue_unavailable`, `queue_policy_invalid` or
 * `database_schema_outdated`.
 *
 * @param onError called when a connection fails; the connection recovers by itself. Without a
 * listener the error would end the process.
 */
export async function openQueueBackend(
  options: QueueBackendOptions,
  onError: (error: Error) => void,
): Promise<QueueBackend> {
  return options.kind === 'redis'
    ? await openRedisBackend(options, onError)
    : await openPostgresBackend(options, onError);
}

async function openRedisBackend(
  { prefix, ...place }: Extract<QueueBackendOptions, { kind: 'redis' }>,
  onError: (error: Error) => void,
): Promise<QueueBackend> {
  const redis = await connectRedis(place, onError);
  const { producer, worker, isCluster } = redis;
  // On a cluster the keys of one queue must share a slot; a tag per queue spreads the queues.
  const prefixOf = (name: QueueName): string => (isCluster ? `{${prefix}:${name}}` : prefix);
  const proveWrite = async (): Promise<void> => {
    try {
      // A key of each queue, since on a cluster the queues are on several nodes.
      await Promise.all(
        queueNames.map(
          async (name) => await probeQueue(producer, `${prefixOf(name)}:${name}:probe`),
        ),
      );
    } catch (cause) {
      throw redisFault(place, cause);
    }
  };
  try {
    await proveWrite();
  } catch (error) {
    redis.close();
    throw error;
  }
  const queues = keepQueues(
    (name) => new Queue(name, { ...queueOptions, connection: producer, prefix: prefixOf(name) }),
    onError,
  );
  return {
    kind: 'redis',
    queue: queues.get,
    createWorker: (name, processor, tuning) =>
      new Worker(name, processor, { ...tuning, connection: worker, prefix: prefixOf(name) }),
    ping: async () => {
      await producer.ping();
    },
    proveWrite,
    close: async () => {
      await queues.close();
      // BullMQ does not close connections passed to it, and an open one keeps the process alive.
      redis.close();
    },
  };
}

async function openPostgresBackend(
  options: Extract<QueueBackendOptions, { kind: 'postgres' }>,
  onError: (error: Error) => void,
): Promise<QueueBackend> {
  const postgres = withBackend(createPostgresBackend);
  const pool = await openQueuePool({
    url: options.databaseUrl,
    poolSizeMax: queueNames.length + poolSpare,
    onConnectionError: onError,
  });
  // BullMQ's type of pg.Pool differs from pg's own by one overload.
  const connection = pool as object as PostgresConnectionOptions;
  try {
    await assertSchemaCompatibility(pool);
  } catch (cause) {
    await pool.end();
    throw new AppError(
      'database_schema_outdated',
      'The database has no up-to-date schema for the queues: run "token-worker migrate" without REDIS_URL first.',
      { cause },
    );
  }
  const queues = keepQueues(
    (name) => asQueue(new postgres.Queue(name, { ...queueOptions, connection })),
    onError,
  );
  return {
    kind: 'postgres',
    queue: queues.get,
    createWorker: (name, processor, tuning) =>
      asWorker(new postgres.Worker(name, processor, { ...tuning, connection })),
    ping: async () => {
      await pool.query('select 1');
    },
    proveWrite: async () => {
      try {
        await pool.query(writeProbe('meta', 'value'));
      } catch (cause) {
        throw new AppError('queue_unavailable', 'PostgreSQL takes no writes for the queues.', {
          cause,
        });
      }
    },
    close: async () => {
      await queues.close();
      await pool.end();
    },
  };
}

/** How long finished jobs stay on their queue, in seconds, and how many. */
export const finishedJobs = {
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 7 * 86_400, count: 5_000 },
} as const;

const queueOptions: Omit<QueueOptions, 'connection'> = {
  defaultJobOptions: {
    ...finishedJobs,
    stackTraceLimit: 0,
    keepLogs: 0,
  },
  streams: { events: { maxLen: 1_000 } },
};

function keepQueues(
  create: (name: QueueName) => AnyQueue,
  onError: (error: Error) => void,
): { get: (name: QueueName) => AnyQueue; close: () => Promise<void> } {
  const kept = new Map<QueueName, AnyQueue>();
  return {
    get(name) {
      const known = kept.get(name);
      if (known !== undefined) return known;
      const queue = create(name);
      queue.on('error', onError);
      kept.set(name, queue);
      return queue;
    },
    close: async () => {
      await Promise.all([...kept.values()].map(async (queue) => await queue.close()));
    },
  };
}

/** BullMQ types a queue by its backend, although both have the same methods. */
function asQueue(queue: object): AnyQueue {
  return queue as AnyQueue;
}

function asWorker(worker: object): AnyWorker {
  return worker as AnyWorker;
}
