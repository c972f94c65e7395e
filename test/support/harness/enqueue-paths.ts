import { setTimeout } from 'node:timers/promises';
import { Queue } from 'bullmq5';
import { createTokenClient, TokenClientError } from '../../../src/client/client.ts';
import type { TokenizationRequestPayload } from '../../../src/domain/job-payloads.ts';
import { connectEnqueuer } from './enqueuer.ts';

const retryAfterMaxMs = 100;

/** One way of handing requests over, as a backend that does not give up uses it. */
export interface Path {
  readonly name: 'sql' | 'queue' | 'http' | 'client';
  /** Resolves when all are handed over, and throws when one of them never can be. */
  readonly handOver: (requests: readonly TokenizationRequestPayload[]) => Promise<void>;
}

/** Where a backend hands over. */
export interface Places {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly queuePrefix: string;
  /** Processes with the API; any of them may be away at any time. */
  readonly apiUrls: readonly string[];
  readonly apiKey: string;
}

/** Opens the four ways, with connections of their own. */
export async function openPaths(
  places: Places,
): Promise<{ readonly paths: readonly Path[]; readonly close: () => Promise<void> }> {
  const { path: sql, close: closeSql } = await openSql(places);
  const { path: queue, close: closeQueue } = openQueue(places);
  return {
    paths: [sql, queue, openHttp(places), openClient(places)],
    async close() {
      await closeSql();
      await closeQueue();
    },
  };
}

/** One transaction a batch, often with an ordering key; some of them roll back first and are done again. */
async function openSql({ databaseUrl }: Places) {
  const { client, enqueue, close } = await connectEnqueuer(databaseUrl);
  const path: Path = {
    name: 'sql',
    async handOver(requests) {
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

/** The queue itself, in the hands of BullMQ 5. */
function openQueue({ redisUrl, queuePrefix }: Places) {
  const queue = new Queue('tokenization', { connection: { url: redisUrl }, prefix: queuePrefix });
  const path: Path = {
    name: 'queue',
    async handOver(requests) {
      await queue.addBulk(requests.map((data) => ({ name: 'tokenization.request', data })));
    },
  };
  return { path, close: async () => await queue.close() };
}

/** The API, each request on its own, again and again while nobody answers. */
function openHttp({ apiUrls, apiKey }: Places): Path {
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
    handOver: async (requests) => void (await Promise.all(requests.map(post))),
  };
}

/** The TypeScript client, which tries again by itself, and is asked again when it has given up. */
function openClient({ apiUrls, apiKey }: Places): Path {
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
    handOver: async (requests) => void (await Promise.all(requests.map(request))),
  };
}

function oneOf<Value>(values: readonly Value[]): Value {
  const value = values[Math.floor(Math.random() * values.length)];
  if (value === undefined) throw new Error('there is nothing to choose from');
  return value;
}
