import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { sql } from 'kysely';
import { withClient } from '../../src/db/connection/database.ts';
import { type BenchWorker, startBenchWorker } from '../support/bench-worker.ts';

const samples = 300;
const warmUps = 30;
/** Long enough that enqueues do not align with polls and that each finds an idle worker. */
const pauseMaxMs = 60;

/** Enqueues one request. Resolves to the database's time just before COMMIT, in milliseconds. */
type Enqueue = (reference: string) => Promise<number>;

/**
 * Measures the time from commit to work: until a request enqueued by SQL is accepted (sealed in its
 * own row), and until a worker has taken it (its intent is committed, the gateway call follows).
 * Compares it with a request whose NOTIFY is lost, which the poll finds, and with a job added to
 * BullMQ directly.
 *
 * All times are the database's, and the COMMIT itself counts. The contestants alternate, one
 * request at a time.
 */
export async function enqueue(): Promise<Record<string, unknown>> {
  const worker = await startBenchWorker();
  try {
    return await withClient(worker.databaseUrl, async (client) => {
      const bySql =
        (notify: 'on' | 'off'): Enqueue =>
        async (reference) => {
          await client.query('begin');
          await client.query(`set local token_lifecycle.notify = '${notify}'`);
          await client.query('select token_lifecycle.enqueue($1, $2)', [
            'tokenization.request',
            JSON.stringify(requestOf(reference)),
          ]);
          const { rows } = await client.query<{ now: number }>(nowText);
          await client.query('commit');
          return rows[0]?.now ?? Number.NaN;
        };
      const byQueue: Enqueue = async (reference) => {
        const { rows } = await client.query<{ now: number }>(nowText);
        const queue = worker.app.backend.queue('tokenization');
        await queue.add('tokenization.request', requestOf(reference));
        return rows[0]?.now ?? Number.NaN;
      };
      const contestants = { sql: bySql('on'), notifyLost: bySql('off'), bullmq: byQueue };
      return report(worker, await race(worker, contestants));
    });
  } finally {
    await worker.close();
  }
}

const nowText = 'select extract(epoch from clock_timestamp())::float8 * 1000 as now';

interface Waits {
  readonly accepted: number[];
  readonly taken: number[];
}

type Contestants<Value> = Readonly<Record<'sql' | 'notifyLost' | 'bullmq', Value>>;

async function race(
  worker: BenchWorker,
  contestants: Contestants<Enqueue>,
): Promise<Contestants<Waits>> {
  const names = ['sql', 'notifyLost', 'bullmq'] as const;
  const none = (): Waits => ({ accepted: [], taken: [] });
  const waits = { sql: none(), notifyLost: none(), bullmq: none() };
  for (let round = -warmUps; round < samples; round += 1) {
    for (const name of names) {
      await setTimeout(Math.random() * pauseMaxMs);
      const reference = `b-${randomUUID()}`;
      const committedAt = await contestants[name](reference);
      const { acceptedAt, takenAt } = await untilTaken(worker, reference);
      if (round < 0) continue;
      waits[name].accepted.push(acceptedAt - committedAt);
      waits[name].taken.push(takenAt - committedAt);
    }
  }
  return waits;
}

/** The times at which a request was accepted and taken, by the audit trail. */
async function untilTaken(
  { app }: BenchWorker,
  reference: string,
): Promise<{ acceptedAt: number; takenAt: number }> {
  for (;;) {
    const { rows } = await sql<{ acceptedAt: number; takenAt: number }>`
      select extract(epoch from min(a.occurred_at) filter (where a.event = 'tokenization.requested'))::float8 * 1000
          as "acceptedAt",
        extract(epoch from min(a.occurred_at) filter (where a.event = 'tokenization.submitting'))::float8 * 1000
          as "takenAt"
      from tokenization t join audit_event a on a.entity_type = 'tokenization' and a.entity_id = t.id
      where t.merchant_reference_id = ${reference} and t.state = 'active'
      group by t.id`.execute(app.database.db);
    if (rows[0] !== undefined) return rows[0];
    await setTimeout(10);
  }
}

function requestOf(reference: string): Readonly<Record<string, unknown>> {
  return {
    v: 1,
    order: { currency: 'EUR', amount: '9.90', methods: 'Klarna', remark: 'sandbox:direct' },
    merchant: { referenceId: reference },
    billing: { firstname: 'Ada', lastname: 'Lovelace', email: 'ada@example.com', country: 'DE' },
    customer: { id: 'bench' },
  };
}

function report({ queues }: BenchWorker, waits: Contestants<Waits>): Record<string, unknown> {
  const row = ({ accepted, taken }: Waits) => ({
    'accepted, median ms': at(accepted, 0.5),
    'accepted, p99 ms': at(accepted, 0.99),
    'taken, median ms': at(taken, 0.5),
    'taken, p99 ms': at(taken, 0.99),
  });
  console.log(`queues on ${queues}, ${samples} requests each`);
  console.table({
    'enqueue by SQL (ours)': row(waits.sql),
    'the same, NOTIFY lost': row(waits.notifyLost),
    'job added to BullMQ': row(waits.bullmq),
  });
  return {
    queues,
    samples,
    acceptedMedianMs: at(waits.sql.accepted, 0.5),
    acceptedP99Ms: at(waits.sql.accepted, 0.99),
    medianMs: at(waits.sql.taken, 0.5),
    p99Ms: at(waits.sql.taken, 0.99),
    notifyLostMedianMs: at(waits.notifyLost.taken, 0.5),
    notifyLostP99Ms: at(waits.notifyLost.taken, 0.99),
    bullmqMedianMs: at(waits.bullmq.taken, 0.5),
    bullmqP99Ms: at(waits.bullmq.taken, 0.99),
  };
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Number((sorted[Math.floor(sorted.length * share)] ?? Number.NaN).toFixed(1));
}
