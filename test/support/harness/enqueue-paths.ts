import { setTimeout } from 'node:timers/promises';
import { Queue } from 'bullmq5';
import { createTokenClient, TokenClientError } from '../../../src/client/client.ts';
import type { TokenizationRequestPayload } from '../../../src/domain/payload/job-payloads.ts';
import { connectEnqueuer } from './enqueuer.ts';

const retryAfterMaxMs = 100;

/** One way to enqueue requests, used by a backend that retries until it succeeds. */
export interface EnqueuePath {
  readonly name: 'sql' | 'queue' | 'http' | 'client';
  /** Resolves when all requests are enqueued. Throws if one of them is refused. */
  readonly enqueueAll: (requests: readonly TokenizationRequestPayload[]) => Promise<void>;
}

/** The addresses of the worker for all ways. */
export interface WorkerAddresses {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly queuePrefix: string;
  /** The processes with the API, any of which may be down at any time. */
  readonly apiUrls: readonly string[];
  readonly apiKey: string;
}

/** Opens the four ways, each with its own connections. */
export async function openEnqueuePaths(
  addresses: WorkerAddresses,
): Promise<{ readonly paths: readonly EnqueuePath[]; readonly close: () => Promise<void> }> {
  const { path: sql, close: closeSql } = await openSqlPath(addresses);
  const { path: queue, close: closeQueue } = openQueuePath(addresses);
  return {
    paths: [sql, queue, openHttpPath(addresses), openClientPath(addresses)],
    async close() {
      await closeSql();
      await closeQueue();
    },
  };
}

/**
 * SQL: one transaction for a batch, often with an ordering key. Some roll back once, then repeat.
 */
async function openSqlPath({ databaseUrl }: WorkerAddresses) {
  const { client, enqueue, close } = await connectEnqueuer(databaseUrl);
  const path: EnqueuePath = {
    name: 'sql',
    async enqueueAll(requests) {
      const key = Math.random() < 0.5 ? `key-${Math.floor(Math.random() * 10)}` : undefined;
      for (const end of Math.random() < 0.3 ? ['rollback', 'commit'] : ['commit']) {
        await client.query('begin');
        for (const request of requests) await enqueue('tokenization.request', request, key);
        await client.query(end);
      }
    },
  };
  return { path, close };
}

/** Raw BullMQ 5. */
function openQueuePath({ redisUrl, queuePrefix }: WorkerAddresses) {
  const queue = new Queue('tokenization', { connection: { url: redisUrl }, prefix: queuePrefix });
  const path: EnqueuePath = {
    name: 'queue',
    async enqueueAll(requests) {
      await queue.addBulk(requests.map((data) => ({ name: 'tokenization.request', data })));
    },
  };
  return { path, close: async () => await queue.close() };
}

/** The HTTP API: one call per request, repeated while no API answers. */
function openHttpPath({ apiUrls, apiKey }: WorkerAddresses): EnqueuePath {
  const post = async (body: TokenizationRequestPayload): Promise<void> => {
    for (;;) {
      const response = await fetch(`${oneOf(apiUrls)}/v1/tokenizations`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }).catch(() => undefined);
      const answer = await response?.text().catch(() => undefined);
      if (response?.ok === true && answer !== undefined) return;
      if (response !== undefined && response.status < 500) {
        throw new Error(`the API refused: ${answer}`);
      }
      await setTimeout(Math.random() * retryAfterMaxMs);
    }
  };
  return {
    name: 'http',
    enqueueAll: async (requests) => void (await Promise.all(requests.map(post))),
  };
}

/** The TypeScript client, which retries by itself, and is called again after it gave up. */
function openClientPath({ apiUrls, apiKey }: WorkerAddresses): EnqueuePath {
  const clients = apiUrls.map((url) => createTokenClient({ url, apiKey, retriesMax: 1 }));
  const request = async (body: TokenizationRequestPayload): Promise<void> => {
    for (;;) {
      try {
        await oneOf(clients).requestTokenization(body);
        return;
      } catch (error) {
        if (!(error instanceof TokenClientError) || !error.isRetryable) throw error;
        await setTimeout(Math.random() * retryAfterMaxMs);
      }
    }
  };
  return {
    name: 'client',
    enqueueAll: async (requests) => void (await Promise.all(requests.map(request))),
  };
}

function oneOf<Value>(values: readonly Value[]): Value {
  const value = values[Math.floor(Math.random() * values.length)];
  if (value === undefined) throw new Error('the list is empty');
  return value;
}
