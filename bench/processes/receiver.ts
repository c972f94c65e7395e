import { createHash, randomUUID } from 'node:crypto';
import { fastify } from 'fastify';
import pg from 'pg';
import { readWorkerInput, sayUp } from '../support/worker-input.ts';

/**
 * The receiver that a team would write by hand: it stores the message once, with an audit row and
 * the job that judges it, in one transaction, and acknowledges after the commit.
 */
const poolSizeMax = 10;
const { databaseUrl } = readWorkerInput();
const pool = new pg.Pool({ connectionString: databaseUrl, max: poolSizeMax });
const server = fastify();

server.removeAllContentTypeParsers();
server.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
  done(null, body);
});
server.post('/callbacks/notify', async ({ body }) => {
  await store(String(body));
  return 'receive-ok';
});

async function store(body: string): Promise<void> {
  const message = JSON.parse(body) as Readonly<Record<string, string>>;
  const id = randomUUID();
  const digest = createHash('sha256').update(body).digest('hex');
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rowCount } = await client.query(insertText, [
      id,
      digest,
      message['account'],
      message['terminal'],
      message['merchant_reference_id'],
      message['order_reference_id'],
      body,
    ]);
    if (rowCount === 1) {
      await client.query(auditText, [id, JSON.stringify({ digest })]);
      await client.query(jobText, [JSON.stringify({ callbackId: id })]);
    }
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

const insertText = `
  insert into hand_written.callback (id, digest, account, terminal, merchant_reference_id,
    order_reference_id, body, state, version, received_at)
  values ($1, $2, $3, $4, $5, $6, $7, 'received', 1, clock_timestamp())
  on conflict (digest) do nothing`;

const auditText = `
  insert into hand_written.audit_event
    (tokenization_id, version, event, from_state, to_state, actor, detail)
  values ($1, 1, 'callback.received', null, 'received', 'gateway', $2)`;

const jobText = `insert into hand_written.outbox (queue, payload) values ('notify', $1)`;

sayUp({ public: await server.listen({ host: '127.0.0.1', port: 0 }) });
