import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { StoredRows } from './contestant.ts';
import { createGatewayCall } from './gateway-call.ts';
import { account, type BenchRequest, terminal } from './tokenization-request.ts';
import type { WorkerInput } from './worker-input.ts';

/**
 * The tables that a team would make for the same guarantees: one row per request with the columns
 * that it needs, unique by reference, an index for the scan of open rows, and an audit table.
 */
export const handWrittenTables = `
  create schema hand_written;
  create table hand_written.tokenization (
    id uuid primary key,
    account text not null,
    terminal text not null,
    merchant_reference_id text not null,
    gateway_reference text not null,
    order_reference_id text,
    customer_id text not null,
    request jsonb not null,
    currency text not null,
    amount text not null,
    methods text not null,
    quickpay_id text,
    attempt integer not null,
    lease_until timestamptz,
    reconcile_at timestamptz,
    state text not null,
    version integer not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (account, terminal, merchant_reference_id)
  );
  create index on hand_written.tokenization (reconcile_at) where reconcile_at is not null;
  create index on hand_written.tokenization (quickpay_id) where quickpay_id is not null;
  create table hand_written.audit_event (
    id bigint generated always as identity primary key,
    occurred_at timestamptz not null default clock_timestamp(),
    tokenization_id uuid not null,
    version integer not null,
    event text not null,
    from_state text,
    to_state text not null,
    actor text not null,
    detail jsonb not null
  );
  create index on hand_written.audit_event (tokenization_id, version);
  create table hand_written.callback (
    id uuid primary key,
    digest text not null unique,
    account text not null,
    terminal text not null,
    merchant_reference_id text not null,
    order_reference_id text not null,
    body text not null,
    state text not null,
    version integer not null,
    received_at timestamptz not null
  );
  create index on hand_written.callback (order_reference_id);
  create table hand_written.outbox (
    id bigint generated always as identity primary key,
    queue text not null,
    payload jsonb not null
  )`;

/** The pool of the hand-written workers: as large as the product's, and node-postgres's default. */
const poolSizeMax = 10;

/** One change of a row with its audit row, in a transaction. */
interface Change {
  readonly id: string;
  readonly version: number;
  readonly event: string;
  readonly from: string | null;
  readonly to: string;
  readonly detail: object;
}

/**
 * The work of a hand-written job: three changes, each in a transaction with its audit row, and the
 * gateway call after the intent is committed. Written with node-postgres, as most teams do.
 */
export function createHandWrittenWork(input: WorkerInput): (job: BenchRequest) => Promise<void> {
  const pool = new pg.Pool({ connectionString: input.databaseUrl, max: poolSizeMax });
  const call = createGatewayCall(input.gatewayUrl, input.concurrency);
  return async (content) => {
    const id = randomUUID();
    const requested = { event: 'requested', from: null, to: 'requested', detail: {} };
    const isNew = await change(pool, { id, version: 1, ...requested }, insertText, [
      id,
      account,
      terminal,
      content.merchant.referenceId,
      content.customer.id,
      JSON.stringify(content),
      content.order.currency,
      content.order.amount,
      content.order.methods,
    ]);
    if (!isNew) return;

    const submitting = { event: 'submitting', from: 'requested', to: 'submitting' };
    await change(pool, { id, version: 2, ...submitting, detail: { attempt: 1 } }, submitText, [id]);
    const { quickpayId, orderReferenceId } = await call(content);
    const activated = { event: 'activated', from: 'submitting', to: 'active' };
    await change(pool, { id, version: 3, ...activated, detail: { status: 1 } }, activateText, [
      id,
      quickpayId,
      orderReferenceId,
    ]);
  };
}

/** The rows of the references with this prefix. */
export async function countHandWrittenRows(client: pg.Client, prefix: string): Promise<StoredRows> {
  const { rows } = await client.query<StoredRows>(
    `select count(*) filter (where state = 'active')::integer as final,
       (select count(*) from hand_written.audit_event a
        join hand_written.tokenization t on t.id = a.tokenization_id
        where t.merchant_reference_id like $1 || '%')::integer as audit
     from hand_written.tokenization where merchant_reference_id like $1 || '%'`,
    [prefix],
  );
  return rows[0] ?? { final: 0, audit: 0 };
}

const insertText = `
  insert into hand_written.tokenization (id, account, terminal, merchant_reference_id,
    gateway_reference, customer_id, request, currency, amount, methods, attempt, reconcile_at,
    state, version, created_at, updated_at)
  values ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, 0, clock_timestamp() + interval '5 seconds',
    'requested', 1, clock_timestamp(), clock_timestamp())
  on conflict (account, terminal, merchant_reference_id) do nothing`;

const submitText = `
  update hand_written.tokenization set state = 'submitting', version = 2, attempt = attempt + 1,
    lease_until = clock_timestamp() + interval '30 seconds',
    reconcile_at = clock_timestamp() + interval '30 seconds', updated_at = clock_timestamp()
  where id = $1 and state = 'requested' and version = 1`;

const activateText = `
  update hand_written.tokenization set state = 'active', version = 3, quickpay_id = $2,
    order_reference_id = $3, lease_until = null,
    reconcile_at = clock_timestamp() + interval '5 seconds', updated_at = clock_timestamp()
  where id = $1 and state = 'submitting' and version = 2`;

const auditText = `
  insert into hand_written.audit_event
    (tokenization_id, version, event, from_state, to_state, actor, detail)
  values ($1, $2, $3, $4, $5, 'worker', $6)`;

/** Whether the change was made; another worker may have been first. */
async function change(
  pool: pg.Pool,
  { id, version, event, from, to, detail }: Change,
  text: string,
  values: readonly unknown[],
): Promise<boolean> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rowCount } = await client.query(text, [...values]);
    if (rowCount === 1) {
      await client.query(auditText, [id, version, event, from, to, JSON.stringify(detail)]);
    }
    await client.query('commit');
    return rowCount === 1;
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}
