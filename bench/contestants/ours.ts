import pg from 'pg';
import { variables } from '../../src/config/variables.ts';
import { apiKeyDigest, generateApiKey } from '../../src/security/api-key.ts';
import type { BenchServices } from '../support/bench-services.ts';
import { openBullmqJobs } from '../support/bullmq-jobs.ts';
import type { ChildProcess } from '../support/child-process.ts';
import type { Contestant, StoredRows } from '../support/contestant.ts';
import { openHttpLoad, type PostRequest } from '../support/http-load.ts';
import { account, requestOf, secureCode, terminal } from '../support/tokenization-request.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** How many requests a worker process works on at once, unless it is told otherwise. */
export const defaultConcurrency = variables.queue.concurrency.tokenization.form.parse(undefined);

/** How the product is run. */
export interface OursOptions {
  /** Requests at once in a process. */
  readonly concurrency: number;
  /** The number of worker processes; default 1. */
  readonly processes?: number;
}

/** The product by each path, on the same worker processes. */
export interface Ours {
  readonly raw: Contestant;
  readonly sql: Contestant;
  readonly http: Contestant;
}

/**
 * Starts the product as `npm start` does, without the scheduler: its later queries for the expiry
 * of each token would fall into the rounds of others, which make no such queries.
 */
export async function startOurs(
  services: BenchServices,
  { concurrency, processes = 1 }: OursOptions,
): Promise<Ours> {
  const { redis, client } = services;
  const key = `ours-${concurrency}-${processes}`;
  const redisPrefix = `${services.prefix}-${key}`;
  const apiKey = generateApiKey().reveal();
  const env = oursEnvironment(services, { redisPrefix, apiKey, concurrency });
  const workers: ChildProcess[] = [];
  for (let n = 0; n < processes; n += 1) {
    workers.push(await startWorkerProcess(env, ['http', 'worker', 'relay']));
  }
  const jobs = openBullmqJobs(redis.url, redisPrefix, 'tokenization.request');
  const backend = new pg.Pool({ connectionString: services.databaseUrl, max: backendConnections });
  const load = openHttpLoad(httpConnections);
  let isClosed = false;
  const shared = {
    workers,
    redisPrefix,
    isQueueEmpty: async () => (await isOutboxEmpty(client)) && (await jobs.isEmpty()),
    countRows: async (prefix: string) => await countRows(client, prefix),
    async close() {
      if (isClosed) return;
      isClosed = true;
      await Promise.all(workers.map(async (worker) => await worker.kill()));
      await jobs.close();
      await backend.end();
      await load.close();
    },
  };
  const at = `${concurrency} at once${processes === 1 ? '' : `, ${processes} processes`}`;
  return {
    raw: { ...shared, name: `ours by raw BullMQ, ${at}`, enqueue: jobs.add },
    sql: {
      ...shared,
      name: `ours by SQL, ${at}`,
      enqueue: async (references) => await enqueueBySql(backend, references),
    },
    http: {
      ...shared,
      name: `ours by HTTP, ${at}`,
      isEnqueuedLive: true,
      async enqueue(references) {
        await load.postAll(apiRequests(workers, apiKey, references), 202);
      },
    },
  };
}

/** The variables of a worker process; limits that protect a public listener are lifted. */
export function oursEnvironment(
  { databaseUrl, redis, gateway, encryptionKeys }: BenchServices,
  { redisPrefix, apiKey, concurrency }: Record<'redisPrefix' | 'apiKey', string> & OursOptions,
): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    QUEUE_PREFIX: redisPrefix,
    ENCRYPTION_KEYS: encryptionKeys,
    OCEANPAYMENT_CHECKOUT_URL: gateway.url,
    OCEANPAYMENT_OPEN_API_URL: `${gateway.url}/open-api/v1`,
    OCEANPAYMENT_ACCOUNT: account,
    OCEANPAYMENT_TERMINAL: terminal,
    OCEANPAYMENT_SECURE_CODE: secureCode,
    API_KEYS: `bench:${apiKeyDigest(apiKey)}`,
    API_REQUESTS_PER_MINUTE: '10000000',
    CALLBACK_HOST: '127.0.0.1',
    CALLBACK_PORT: '0',
    CALLBACK_PUBLIC_URL: 'https://shop.example.com',
    REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
    CALLBACK_REQUESTS_PER_MINUTE: '10000000',
    OPS_PORT: '0',
    CONCURRENCY_TOKENIZATION: String(concurrency),
  };
}

async function isOutboxEmpty(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query('select from token_lifecycle.outbox limit 1');
  return rows.length === 0;
}

async function countRows(client: pg.Client, prefix: string): Promise<StoredRows> {
  const { rows } = await client.query<StoredRows>(
    `select count(*) filter (where state = 'active')::integer as final,
       (select count(*) from token_lifecycle.audit_event a
        join token_lifecycle.tokenization t on t.id = a.entity_id
        where a.entity_type = 'tokenization' and t.merchant_reference_id like $1 || '%')::integer as audit
     from token_lifecycle.tokenization where merchant_reference_id like $1 || '%'`,
    [prefix],
  );
  return rows[0] ?? { final: 0, audit: 0 };
}

/** Of the merchant backend that enqueues by SQL. */
const backendConnections = 8;
const rowsPerStatement = 500;

/** Several requests in one transaction, as an import would: the clock does not run meanwhile. */
async function enqueueBySql(backend: pg.Pool, references: readonly string[]): Promise<void> {
  for (let start = 0; start < references.length; start += rowsPerStatement) {
    const payloads = references.slice(start, start + rowsPerStatement).map(requestOf);
    await backend.query(
      `select token_lifecycle.enqueue('tokenization.request', payload)
       from jsonb_array_elements($1::jsonb) payload`,
      [JSON.stringify(payloads)],
    );
  }
}

/** Of the merchant backend that enqueues over HTTP. */
const httpConnections = 64;

function apiRequests(
  workers: readonly ChildProcess[],
  apiKey: string,
  references: readonly string[],
): readonly PostRequest[] {
  const urls = workers.map(({ upLine }) => (JSON.parse(upLine) as { private: string }).private);
  return references.map((reference, index) => {
    const { v: _, ...body } = requestOf(reference);
    return {
      url: `${urls[index % urls.length]}/v1/tokenizations`,
      headers: { authorization: `Bearer ${apiKey}` },
      body,
    };
  });
}
