import type pg from 'pg';
import { generateApiKey } from '../../src/security/api-key.ts';
import type { BenchServices } from '../support/bench-services.ts';
import { openBullmqJobs } from '../support/bullmq-jobs.ts';
import { type ChildProcess, startChildProcess } from '../support/child-process.ts';
import type { Creation } from '../support/gateway-process.ts';
import type { PostRequest } from '../support/http-load.ts';
import { account, terminal } from '../support/tokenization-request.ts';
import { workerEnv } from '../support/worker-input.ts';
import { startWorkerProcess } from '../support/worker-process.ts';
import { defaultConcurrency, oursEnvironment } from './ours.ts';

/** A receiver of pushes, with a process of its own. */
export interface Receiver {
  readonly name: string;
  readonly process: ChildProcess;
  readonly requestsOf: (creations: readonly Creation[]) => readonly PostRequest[];
  /** Callbacks with this prefix of the reference, and their audit rows. */
  readonly countReceived: (prefix: string) => Promise<ReceivedRows>;
}

/** Rows of received pushes. */
export interface ReceivedRows {
  readonly callbacks: number;
  readonly audit: number;
}

/** A push of the gateway that says that the token is active. */
function pushOf({ reference, orderReferenceId, quickpayId }: Creation) {
  return {
    push_dateTime: '2026-11-28 12:00:00',
    account,
    terminal,
    order_reference_id: orderReferenceId,
    merchant_reference_id: reference,
    quickpay_id: quickpayId,
    quickpay_status: '1',
  };
}

/** The hand-written receiver. */
export async function startHandWrittenReceiver({
  databaseUrl,
  client,
  redis,
  gateway,
  prefix,
}: BenchServices): Promise<Receiver> {
  const input = { databaseUrl, redisUrl: redis.url, gatewayUrl: gateway.url, prefix };
  const file = new URL('../processes/receiver.ts', import.meta.url);
  const child = await startChildProcess(file, [], workerEnv({ ...input, concurrency: 1 }));
  const url = `${publicUrlOf(child)}/callbacks/notify`;
  return {
    name: 'hand-written: fastify, one transaction',
    process: child,
    requestsOf: (creations) => creations.map((creation) => ({ url, body: pushOf(creation) })),
    countReceived: async (of) =>
      await countRows(
        client,
        `select count(*)::integer as callbacks, count(a)::integer as audit
         from hand_written.callback c
         left join hand_written.audit_event a on a.tokenization_id = c.id
         where c.merchant_reference_id like $1 || '%'`,
        of,
      ),
  };
}

/** The product: one process receives, another one makes the requests and judges. */
export interface OurReceiver extends Receiver {
  readonly judge: ChildProcess;
  /** Requests tokens, by raw BullMQ. */
  readonly enqueue: (references: readonly string[]) => Promise<void>;
  readonly countJudged: (prefix: string) => Promise<JudgedRows>;
  readonly close: () => Promise<void>;
}

/** How far the worker is with the pushes of references with one prefix. */
export interface JudgedRows {
  readonly awaiting: number;
  /** Callbacks with a verdict. */
  readonly judged: number;
  /** Tokenizations that became active, after a query. */
  readonly active: number;
}

/** Starts both processes of the product. */
export async function startOurReceiver(services: BenchServices): Promise<OurReceiver> {
  const { client, redis, prefix } = services;
  const redisPrefix = `${prefix}-receiver`;
  const env = oursEnvironment(services, {
    redisPrefix,
    apiKey: generateApiKey().reveal(),
    concurrency: defaultConcurrency,
  });
  const listener = await startWorkerProcess(env, ['http']);
  const judge = await startWorkerProcess(env, ['worker', 'relay']);
  const jobs = openBullmqJobs(redis.url, redisPrefix, 'tokenization.request');
  const url = publicUrlOf(listener);
  return {
    name: 'ours',
    process: listener,
    judge,
    enqueue: jobs.add,
    requestsOf: (creations) =>
      creations.map((creation) => ({
        // The path of the per-request URL, on this listener instead of the public host.
        url: `${url}${new URL(creation.notifyUrl).pathname}`,
        body: pushOf(creation),
      })),
    countReceived: async (of) => await countRows(client, receivedText, of),
    async countJudged(of) {
      const { rows } = await client.query<JudgedRows>(judgedText, [of]);
      return rows[0] ?? { awaiting: 0, judged: 0, active: 0 };
    },
    async close() {
      await listener.kill();
      await judge.kill();
      await jobs.close();
    },
  };
}

const receivedText = `
  select count(distinct c.id)::integer as callbacks,
    count(*) filter (where a.event = 'callback.received')::integer as audit
  from token_lifecycle.callback c
  left join token_lifecycle.audit_event a on a.entity_type = 'callback' and a.entity_id = c.id
  where c.merchant_reference_id like $1 || '%'`;

const judgedText = `
  select
    (select count(*) from token_lifecycle.callback
     where merchant_reference_id like $1 || '%' and state = 'accepted')::integer as judged,
    count(*) filter (where state = 'awaiting_customer')::integer as awaiting,
    count(*) filter (where state = 'active')::integer as active
  from token_lifecycle.tokenization where merchant_reference_id like $1 || '%'`;

function publicUrlOf({ upLine }: ChildProcess): string {
  return (JSON.parse(upLine) as { public: string }).public;
}

async function countRows(client: pg.Client, text: string, prefix: string): Promise<ReceivedRows> {
  const { rows } = await client.query<ReceivedRows>(text, [prefix]);
  return rows[0] ?? { callbacks: 0, audit: 0 };
}
