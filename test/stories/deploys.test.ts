import { expect } from 'vitest';
import { accountsKeptMs, createAccounts } from '../../src/account/accounts.ts';
import type { App } from '../../src/app.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { isDatabaseOutage } from '../../src/db/connection/faults.ts';
import { errorCodeOf } from '../../src/domain/errors.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { requestPayload } from '../support/builders.ts';
import { deployRequests as requests } from '../support/faults/deploys.ts';
import { eventually } from '../support/eventually.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';
import type { TestWorker } from '../support/harness/worker.ts';
import { test } from '../support/harness/worker-test.ts';
import { setAway } from '../support/services/database.ts';

const restarts = 3;
const latencyMs = 400;

test(
  'three rolling restarts and an outage of the database leave no customer without a page',
  { timeout: 120_000 + requests * 300 },
  async ({ startWorker, database, door, databaseUrl }) => {
    const worker = await startWorker({
      // Queues on PostgreSQL would wait for the locks of their jobs after the outage.
      backend: 'redis',
      env: {
        LOST_ANSWER_SPACING_MS: '1000',
        AWAITING_CUSTOMER_DEADLINE_MS: '86400000',
        CALLBACK_PUBLIC_URL: 'http://127.0.0.1:9',
      },
      sandbox: { faults: { latencyMs, faultEndpoints: ['create'] } },
    });
    const { operations } = worker.app;
    // Nothing of the first process, which stops long before the backend does.
    const accounts = createAccounts(database.db, operations.keyring, accountsKeptMs);
    const backend = { ...operations, db: database.db, door, accounts };
    const toSend = { max: requests - 2 * inFlight };
    const feeding = feed(backend, worker, toSend);
    let current = worker.app;
    for (let restart = 1; restart <= restarts; restart += 1) {
      await untilCreations(worker, Math.floor((requests * restart) / (restarts + 1)));
      current = await replace(worker, current);
      if (restart === 2) await interruptDatabase(worker, databaseUrl, toSend);
    }
    await feeding;

    const waiting = await eventually(
      'every customer has a page',
      async () => {
        const rows = await database.db
          .selectFrom('tokenization')
          .select(['state', 'redirect_url', 'gateway_reference', 'attempt'])
          .execute();
        return rows.every(({ redirect_url: url }) => url !== null) ? rows : undefined;
      },
      requests * 200 + 60_000,
    );
    expect(waiting).toHaveLength(requests);
    expect(new Set(waiting.map(({ state }) => state))).toEqual(new Set(['awaiting_customer']));
    const created = worker.sandbox.state().creations.map((one) => one.merchantReferenceId);
    expect(new Set(created).size).toBe(created.length);
    expect(waiting.filter((row) => !created.includes(row.gateway_reference))).toEqual([]);
    expect(await findAuditBreaks(database.db)).toEqual([]);
  },
);

/** Requests that wait for the gateway at any time. */
const inFlight = 16;

/** How many requests the backend may send. The last ones are kept for the outage. */
interface ToSend {
  max: number;
}

/** A backend that keeps requests in flight, and waits while the database is unavailable. */
async function feed(backend: App['operations'], worker: TestWorker, toSend: ToSend): Promise<void> {
  for (let index = 0; index < requests; index += 1) {
    await untilCreations(worker, index - inFlight);
    await eventually(
      'the backend may send more',
      () => index < toSend.max,
      requests * 200 + 30_000,
    );
    const payload = requestPayload({ referenceId: `deploy-${index}`, remark: redirectWithoutPush });
    await eventually('the request is accepted', async () => {
      try {
        await acceptTokenization(backend, payload, {
          audit: { actor: { type: 'backend', id: 'x' } },
        });
        return true;
      } catch (error) {
        if (isDatabaseOutage(error)) return false;
        throw new Error(errorCodeOf(error), { cause: error });
      }
    });
  }
}

async function untilCreations(worker: TestWorker, count: number): Promise<void> {
  await eventually(
    `the gateway has ${count} creations`,
    () => worker.sandbox.state().creations.length >= count,
    requests * 200 + 60_000,
  );
}

/** A rolling restart: the new process takes work before the old one stops. */
async function replace(worker: TestWorker, current: App): Promise<App> {
  const next = await worker.startAnother();
  expect((await current.stop()).late).toEqual([]);
  return next;
}

/** The database is unavailable while the gateway answers the creations in flight. */
async function interruptDatabase(
  { sandbox }: TestWorker,
  databaseUrl: string,
  toSend: ToSend,
): Promise<void> {
  sandbox.setFaults({ latencyMs: 5 * latencyMs });
  const before = sandbox.state().calls.create;
  toSend.max = requests;
  await eventually('a long creation is on its way', () => sandbox.state().calls.create > before);
  await setAway(databaseUrl, true);
  await eventually('every creation on its way is answered', () => {
    const { calls, creations } = sandbox.state();
    return creations.length === calls.create;
  });
  await setAway(databaseUrl, false);
  sandbox.setFaults({ latencyMs });
}
