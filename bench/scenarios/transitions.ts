import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { type Database, openDatabase } from '../../src/db/connection/database.ts';
import { migrate } from '../../src/db/connection/migrate.ts';
import { createTransitionDoor, type TransitionDoor } from '../../src/db/transition-door.ts';
import { benchDatabase } from '../support/bench-database.ts';

const entities = 4_000;
const rounds = 3;
const concurrency = 1_000;
const actor = { type: 'worker', id: 'bench' } as const;

/** One transition of every entity; `version` is the version of each row before it. */
type Round = (ids: readonly string[], version: number) => Promise<void>;

/**
 * Compares gathered transitions with one transaction per transition (the same compare-and-set,
 * audit row and outbox row between BEGIN and COMMIT) and with one statement per transition, on the
 * same database at the same concurrency. The contestants alternate, and the median round of each
 * counts. All commits are durable (`synchronous_commit` on).
 */
export async function transitions(): Promise<Record<string, unknown>> {
  const server = await benchDatabase();
  await migrate(server.url);
  const database = await openDatabase({ url: server.url, poolSizeMax: 16 });
  try {
    const gathered = createTransitionDoor(database.db);
    const single = createTransitionDoor(database.db, { batchMax: 1, statementsMax: 16 });
    const contestants: Readonly<Record<string, Round>> = {
      gathered: throughDoor(gathered),
      perStatement: throughDoor(single),
      perTransaction: perTransaction(database),
    };
    const rates = await race(database, gathered, contestants);
    const breaks = await findAuditBreaks(database.db);
    return report(rates, breaks.length);
  } finally {
    await database.close();
    await server.close();
  }
}

async function race(
  database: Database,
  door: TransitionDoor,
  contestants: Readonly<Record<string, Round>>,
): Promise<Readonly<Record<string, number>>> {
  const credentialId = await addCredential(door);
  const lanes = new Map<string, { ids: readonly string[]; rates: number[] }>();
  for (const name of Object.keys(contestants)) {
    lanes.set(name, { ids: await addTokenizations(door, credentialId), rates: [] });
  }
  await sql`analyze`.execute(database.db).catch(() => undefined);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, run] of Object.entries(contestants)) {
      const lane = lanes.get(name);
      if (lane === undefined) continue;
      const startedAt = performance.now();
      await run(lane.ids, round + 3);
      // The first round warms up connections and plans.
      if (round > 0) lane.rates.push((entities / (performance.now() - startedAt)) * 1_000);
    }
  }
  return Object.fromEntries([...lanes].map(([name, { rates }]) => [name, median(rates)]));
}

function throughDoor(door: TransitionDoor): Round {
  return async (ids, version) => {
    await inParallel(ids, async (id) => {
      const outcome = await door.apply({
        entity: 'tokenization',
        row: { id, version, state: 'awaiting_customer' },
        event: 'reconcile.pending',
        patch: { reconcile_step: version, reconcile_at_in_ms: 60_000 },
        audit: { actor, queue: 'reconciliation', detail: { reconcileStep: version } },
        jobs: [{ queue: 'reconciliation', name: 'bench', jobId: id, payload: { v: 1 } }],
      });
      if (!outcome.isApplied) throw new Error('a transition was not applied');
    });
  };
}

/** The hand-written alternative: a transaction with three statements for each transition. */
function perTransaction({ db }: Database): Round {
  return async (ids, version) => {
    await inParallel(ids, async (id) => {
      await db.transaction().execute(async (trx) => {
        const changed = await sql<{ version: number }>`
          update tokenization set version = version + 1, updated_at = clock_timestamp(),
            reconcile_step = ${version}, reconcile_at = clock_timestamp() + interval '1 minute'
          where id = ${id} and version = ${version} and state = 'awaiting_customer'
          returning version`.execute(trx);
        const next = changed.rows[0]?.version;
        if (next === undefined) throw new Error('a transition was not applied');
        await sql`
          insert into audit_event (entity_type, entity_id, version, event, from_state, to_state, actor_type,
            actor_id, queue, detail)
          values ('tokenization', ${id}, ${next}, 'reconcile.pending', 'awaiting_customer', 'awaiting_customer',
            'worker', 'bench', 'reconciliation', ${JSON.stringify({ reconcileStep: version })}::jsonb)`.execute(
          trx,
        );
        await sql`
          insert into outbox (queue, job_name, job_id, payload)
          values ('reconciliation', 'bench', ${id}, '{"v": 1}'::jsonb)`.execute(trx);
      });
    });
  };
}

async function addCredential(door: TransitionDoor): Promise<string> {
  const id = randomUUID();
  await door.apply({
    entity: 'credential',
    row: { id, version: 0, state: null },
    event: 'credential.added',
    patch: {
      name: 'bench',
      family: 'accept_payments',
      environment: 'sandbox',
      account: '100000',
      terminal: '10000001',
      secrets_sealed: '',
    },
    audit: { actor },
  });
  return id;
}

/** Tokenizations in state awaiting_customer, version 3. */
async function addTokenizations(
  door: TransitionDoor,
  credentialId: string,
): Promise<readonly string[]> {
  const ids = Array.from({ length: entities }, () => randomUUID());
  await Promise.all(
    ids.map(async (id) => {
      await door.apply({
        entity: 'tokenization',
        row: { id, version: 0, state: null },
        event: 'tokenization.requested',
        patch: {
          credential_id: credentialId,
          account: '100000',
          terminal: '10000001',
          merchant_reference_id: id,
          gateway_reference: id,
          request_digest: 'digest',
          request_sealed: 'x'.repeat(600),
          currency: 'EUR',
          amount: '9.90',
          methods: 'Klarna',
        },
        audit: { actor },
      });
      const take = { entity: 'tokenization', audit: { actor } } as const;
      await door.apply({
        ...take,
        row: { id, version: 1, state: 'requested' },
        event: 'tokenization.submitting',
      });
      await door.apply({
        ...take,
        row: { id, version: 2, state: 'submitting' },
        event: 'tokenization.redirect_issued',
      });
    }),
  );
  return ids;
}

/** Runs `work` for each id, as `concurrency` concurrent jobs would. */
async function inParallel(
  ids: readonly string[],
  work: (id: string) => Promise<void>,
): Promise<void> {
  const queue = ids.values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const id of queue) await work(id);
    }),
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function report(
  rates: Readonly<Record<string, number>>,
  auditBreaks: number,
): Record<string, unknown> {
  const { gathered = 0, perStatement = 0, perTransaction: transaction = 1 } = rates;
  console.table({
    'gathered (ours)': { 'per second': Math.round(gathered) },
    'one statement each': { 'per second': Math.round(perStatement) },
    'one transaction each': { 'per second': Math.round(transaction) },
  });
  return {
    gathered: Math.round(gathered),
    perStatement: Math.round(perStatement),
    perTransaction: Math.round(transaction),
    ratio: Number((gathered / transaction).toFixed(2)),
    auditBreaks,
  };
}
