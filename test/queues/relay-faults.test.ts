import { sql } from 'kysely';
import { expect, onTestFinished } from 'vitest';
import { jobId } from '../../src/domain/ids.ts';
import type { OperationDependencies } from '../../src/execution/dependencies.ts';
import { openQueueBackend, type QueueBackend } from '../../src/queues/backend.ts';
import { startRelay } from '../../src/queues/relay.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { test } from '../support/harness/harness-test.ts';
import { eventually } from '../support/eventually.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** The real queues, which throw for a job unless `isTaken` accepts its id. */
function selectiveQueues(backend: QueueBackend, isTaken: (jobId: string) => boolean): QueueBackend {
  const refuse = (ids: readonly (string | undefined)[]): void => {
    if (ids.some((id) => !isTaken(id ?? ''))) throw new Error('the queue says no');
  };
  return {
    ...backend,
    queue: (name) => {
      const queue = backend.queue(name);
      const addBulk: typeof queue.addBulk = async (jobs) => {
        refuse(jobs.map(({ opts }) => opts?.jobId));
        return await queue.addBulk(jobs);
      };
      const add: typeof queue.add = async (job, data, opts) => {
        refuse([opts?.jobId]);
        return await queue.add(job, data, opts);
      };
      return new Proxy(queue, {
        get: (target, key) => {
          if (key === 'addBulk') return addBulk;
          if (key === 'add') return add;
          const value: unknown = Reflect.get(target, key);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
    },
  };
}

/** A relay on queues in PostgreSQL; `wrap` may add faults to them. */
async function startOwnRelay(
  operations: OperationDependencies,
  databaseUrl: string,
  wrap: (backend: QueueBackend) => QueueBackend,
): Promise<QueueBackend> {
  const backend = await openQueueBackend({ kind: 'postgres', databaseUrl }, () => undefined);
  const logger = createLogger({ level: 'silent' });
  const relay = startRelay({ operations, backend: wrap(backend), workerId: 'relay', logger });
  onTestFinished(async () => {
    await relay.close();
    await backend.close();
  });
  return backend;
}

test('a job that its queue refuses blocks the later rows of its key and no other row', async ({
  openJobHarness,
  database: { db },
  databaseUrl,
}) => {
  const harness = await openJobHarness();
  const refused = new Set([jobId('confirm', uuid(2), 1), jobId('deliver', uuid(9), 1)]);
  // Rows 1 to 6 go to one queue, rows 3 and 5 share the key of row 2, and row 9 has its own queue.
  const rows = [
    ...[1, 2, 3, 4, 5, 6].map((n) => ({
      queue: 'reconciliation',
      job_name: 'tokenization.confirm',
      job_id: jobId('confirm', uuid(n), 1),
      payload: { v: 1, tokenizationId: uuid(n) },
      enqueue_key: [2, 3, 5].includes(n) ? 'k' : null,
    })),
    {
      queue: 'delivery',
      job_name: 'delivery.send',
      job_id: jobId('deliver', uuid(9), 1),
      payload: { v: 1, deliveryId: uuid(9) },
      enqueue_key: null,
    },
  ];
  await sql`
    insert into outbox (queue, job_name, job_id, payload, enqueue_key)
    select queue, job_name, job_id, payload, enqueue_key
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as r(queue text, job_name text, job_id text, payload jsonb, enqueue_key text)`.execute(db);
  const backend = await startOwnRelay(harness.dependencies, databaseUrl, (real) =>
    selectiveQueues(real, (id) => !refused.has(id)),
  );
  const left = async () =>
    (await db.selectFrom('outbox').select(['job_id', 'tries']).orderBy('id').execute()).map(
      ({ job_id: id, tries }) => ({ id, tries }),
    );
  await eventually('what can go has gone', async () => (await left()).length === 4);
  const waiting = await backend.queue('reconciliation').getJobs(['waiting']);
  expect(new Set(waiting.map(({ id }) => id))).toEqual(
    new Set([1, 4, 6].map((n) => jobId('confirm', uuid(n), 1))),
  );
  const behind = new Set([jobId('confirm', uuid(3), 1), jobId('confirm', uuid(5), 1)]);
  await eventually('the one at fault pays for its tries', async () => {
    return (await left())[0]?.tries === 2;
  });
  const waited = (await left()).filter(({ id }) => behind.has(id));
  expect(waited.every(({ tries }) => tries <= 1)).toBe(true);
  refused.clear();
  await eventually('all have gone', async () => (await readOutboxBacklog(db)).rows === 0);
  const all = await backend.queue('reconciliation').getJobs(['waiting'], 0, -1, true);
  expect(all.map(({ id }) => id).slice(-3)).toEqual(
    [2, 3, 5].map((n) => jobId('confirm', uuid(n), 1)),
  );
  expect(await listDeadLetters(db, 10)).toEqual([]);
});

test('a row that fails for an unknown reason is buried after its last try and not before', async ({
  openJobHarness,
  database: { db },
  databaseUrl,
}) => {
  const harness = await openJobHarness();
  const add = async (n: number, tries: number) =>
    await sql`
      insert into outbox (queue, job_name, job_id, payload, tries)
      values ('notify', 'notify.handle', ${jobId('redrive', uuid(n), 1)}, '{"v": 1, "body": "account=1"}', ${tries})`.execute(
      db,
    );
  await add(1, 0);
  await add(2, 9);
  const { keyring } = harness.dependencies;
  const spoilt: typeof keyring = {
    ...keyring,
    seal: (place, content) => {
      if (place.table === 'callback') throw new Error('the keyring is at a loss');
      return keyring.seal(place, content);
    },
  };
  await startOwnRelay({ ...harness.dependencies, keyring: spoilt }, databaseUrl, (real) => real);
  const letters = await eventually('one is buried', async () => {
    const found = await listDeadLetters(db, 10);
    return found.length > 0 && found;
  });
  expect(letters).toMatchObject([{ job_id: jobId('redrive', uuid(2), 1), code: 'internal' }]);
  await eventually('the other one stays', async () => (await readOutboxBacklog(db)).rows === 1);
});
