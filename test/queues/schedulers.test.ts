import { sql } from 'kysely';
import { afterEach, describe, expect } from 'vitest';
import { scanAccessTokens } from '../../src/jobs/scan-access-tokens.ts';
import { storeCredential } from '../../src/credential/store.ts';
import type { AnyQueue } from '../../src/queues/backend.ts';
import { testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { runTokenScan } from '../support/harness/scan-tokens.ts';
import { holdDueToken, test, type TokenHarness } from '../support/harness/token-harness.ts';
import { backends, startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const { name, queue: queueName } = scanAccessTokens;
const everyMs = 100;
const dayMs = 24 * 60 * 60_000;
const tokenTtlMs = 60_000;
/** The least age, a sixtieth of its life, at which a request renews a fresh token. */
const spacingMs = tokenTtlMs / 60;
const template = { name, data: { v: 1 } };

/** Faults of the schedule: the interval of its replacement from tomorrow on, or none. */
const losses = [
  ['removed', undefined],
  ['put off until tomorrow, at another interval', dayMs],
  // The result of a worker whose clock runs ahead.
  ['put off until tomorrow, at its own interval', everyMs],
] as const;

test('scans of one due token enqueue one job, and none during and after its renewal', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await holdDueToken(harness, 'cards', 'app-1');
  const jobs = [...(await runTokenScan(harness)), ...(await runTokenScan(harness))];
  const { id, version } = await harness.row('cards');
  expect(jobs.map(({ jobId }) => jobId)).toEqual(
    Array.from({ length: 2 }, () => `refresh-${id}-g${version}`),
  );

  const refreshAccessToken: TokenHarness['gateway']['refreshAccessToken'] = async (...call) => {
    expect(await runTokenScan(harness)).toEqual([]);
    return await harness.gateway.refreshAccessToken(...call);
  };
  const as = { gateway: { ...harness.gateway, refreshAccessToken } };
  expect(await harness.renew('cards', { as })).toBe('refreshed');
  expect(await runTokenScan(harness)).toEqual([]);
});

describe.for(backends)('the schedule of the scan, with queues on %s', (backend) => {
  let worker: TestWorker | undefined;

  afterEach(async () => {
    await worker?.close();
    worker = undefined;
  });

  async function start(
    databaseUrl: string,
    skip: (reason: string) => never,
    appKeys?: readonly string[],
  ): Promise<TestWorker> {
    worker = await startTestWorker({
      databaseUrl,
      backend,
      env: {
        SCAN_INTERVAL_MS: String(everyMs),
        ACCESS_TOKEN_TTL_MS: String(tokenTtlMs),
        ACCESS_TOKEN_SKEW_MS: '1000',
        OAUTH_CALLS_PER_SECOND_MAX: '100',
      },
      sandbox: {
        accessTokenTtlMs: tokenTtlMs,
        // Several scans run during one renewal; a worker that ignored its lease would call too.
        faults: { latencyMs: 400 },
        ...(appKeys && { opcardApps: appKeys.map((appKey) => ({ appKey, appSecret: 'secret' })) }),
      },
    });
    return worker ?? skip('no Redis: this suite did not run on Redis');
  }

  test.for(losses)(
    '%s while a token is due, is replaced by the watchdog, and the token is renewed once',
    async ([, every], { databaseUrl, skip }) => {
      const running = await start(databaseUrl, skip);
      const queue = running.app.backend.queue(queueName);
      await untilGeneration(running, 1, 1);
      await queue.removeJobScheduler(name);
      if (every !== undefined) {
        await queue.upsertJobScheduler(name, { every, startDate: Date.now() + dayMs }, template);
      }
      await untilNoScanRuns(queue);
      await makeDue(running);

      await untilGeneration(running, 1, 2);
      await untilScheduled(queue);
      await untilScannedBySchedule(queue, Date.now());
      expect(running.logs.join()).toMatch(/scan_late/);
      expect(running.sandbox.state()).toMatchObject({
        calls: { 'oauth-create': 1, 'oauth-refresh': 1 },
        accessTokens: { issued: 2 },
      });
      expect(await intents(running)).toEqual([
        { credential: 'default', intents: ['issue 0', 'refresh 1'] },
      ]);
    },
  );

  test('doubled, in two processes and with scans added by hand, renews each due token once', async ({
    databaseUrl,
    skip,
  }) => {
    const names = Array.from({ length: 5 }, (_, index) => `many-${index}`);
    const running = await start(databaseUrl, skip, names);
    const { operations, backend: queues } = running.app;
    const queue = queues.queue(queueName);
    await running.startAnother();
    await queue.upsertJobScheduler('access-token.scan-again', { every: everyMs }, template);
    const scanByHand = async (): Promise<void> => {
      for (let scans = 0; scans < 10; scans += 1) await queue.add(name, { v: 1 });
    };
    for (const appKey of names) {
      const secrets = { appKey, appSecret: 'secret' };
      await storeCredential(
        operations,
        { name: appKey, environment: 'sandbox', family: 'opcard', secrets },
        testActor,
      );
    }
    await scanByHand();
    await untilGeneration(running, names.length, 1);
    await makeDue(running);
    await scanByHand();
    await untilGeneration(running, names.length, 2);
    await untilScannedAfter(running, spacingMs + everyMs);

    // The sandbox does not know the application of `default` and refuses it.
    expect(running.sandbox.state()).toMatchObject({
      calls: { 'oauth-create': names.length + 1, 'oauth-refresh': names.length },
      accessTokens: { issued: 2 * names.length },
    });
    expect(await intents(running)).toEqual([
      { credential: 'default', intents: ['issue 0'] },
      ...names.map((credential) => ({ credential, intents: ['issue 0', 'refresh 1'] })),
    ]);
  });
});

async function untilGeneration(
  { app }: TestWorker,
  count: number,
  generation: number,
): Promise<void> {
  await eventually(`${count} tokens of generation ${generation}`, async () => {
    const rows = await app.database.db
      .selectFrom('access_token')
      .select('id')
      .where('generation', '=', generation)
      .execute();
    return rows.length === count;
  });
}

async function makeDue({ app }: TestWorker): Promise<void> {
  await sql`update access_token set due_at = now() - interval '1 s' where state = 'fresh'`.execute(
    app.database.db,
  );
}

async function untilNoScanRuns(queue: AnyQueue): Promise<void> {
  await eventually('no scan runs', async () => {
    const jobs = await queue.getJobs(['waiting', 'prioritized', 'active']);
    return !jobs.some((job) => job.name === name);
  });
}

async function untilScheduled(queue: AnyQueue): Promise<void> {
  await eventually('the scan is scheduled at its interval', async () => {
    const scheduler = await queue.getJobScheduler(name);
    return scheduler?.every === everyMs && (scheduler.next ?? Infinity) < Date.now() + dayMs / 2;
  });
}

/** Only a scheduled job has a `repeatJobKey`; one added by hand has none. */
async function untilScannedBySchedule(queue: AnyQueue, sinceMs: number): Promise<void> {
  await eventually('the schedule starts a scan', async () => {
    const jobs = await queue.getJobs(['completed']);
    return jobs.some((job) => job.repeatJobKey === name && (job.processedOn ?? 0) > sinceMs);
  });
}

/** Resolves when a scan has ended at least `waitMs` after the last token was issued. */
async function untilScannedAfter({ app }: TestWorker, waitMs: number): Promise<void> {
  await eventually('a scan when each token may be renewed again', async () => {
    const { rows } = await sql<{ isLater: boolean }>`
      select finished_at > (select max(issued_at) from access_token) + ${waitMs} * interval '1 millisecond' as "isLater"
      from scan_run where name = ${name}`.execute(app.database.db);
    return rows[0]?.isLater;
  });
}

/** The intents of each credential, each with the generation that it replaces. */
async function intents({
  app,
}: TestWorker): Promise<readonly { credential: string; intents: readonly string[] }[]> {
  const { rows } = await sql<{ credential: string; intents: readonly string[] }>`
    select c.name as credential,
      array_agg(split_part(split_part(e.event, '.', 2), '_', 1) || ' ' || (e.detail ->> 'generation') order by e.version) as intents
    from audit_event e join access_token t on t.id = e.entity_id join credential c on c.id = t.credential_id
    where e.event in ('access_token.issue_intent', 'access_token.refresh_intent')
    group by c.name order by c.name collate "C"`.execute(app.database.db);
  return rows;
}
