import { setTimeout } from 'node:timers/promises';
import { sql } from 'kysely';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/config.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { queueNames } from '../../src/domain/queue-names.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { createLogger } from '../../src/observability/logger.ts';
import {
  faultDefaults,
  type FaultSwitches,
  type Sandbox,
  startSandbox,
} from '../../src/sandbox/sandbox.ts';
import { apiKeyDigest, generateApiKey } from '../../src/security/api-key.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { createTally, inTypeScript, keepReading, overHttp } from './token-readers.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts';
import { openSubscribedReader } from '../../src/access-token/read/reader.ts';

/** A time during which the gateway behaves in one way. A virtual hour is one life of a token. */
export interface SoakPhase {
  readonly name: string;
  readonly virtualMinutes: number;
  readonly faults: Partial<FaultSwitches>;
  /** Whether the gateway ends tokens that we still hold; readers then get some that are refused, and report them. */
  readonly isRevoking?: boolean;
  /** Whether worker processes are killed meanwhile, one after the other. */
  readonly isKilling?: boolean;
}

/** How to soak. */
export interface SoakOptions {
  /** A migrated database, with BullMQ's schema where there is no Redis. */
  readonly databaseUrl: string;
  readonly redis?: { readonly url: string; readonly prefix: string } | undefined;
  /** The life of a token in milliseconds, which stands for 60 minutes. */
  readonly tokenTtlMs: number;
  readonly credentials: number;
  readonly workers: number;
  readonly phases: readonly SoakPhase[];
  readonly seed: number;
  /** How long the gateway takes for each call, in milliseconds; default 0. */
  readonly latencyMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** How long each reader rests after a read, in milliseconds; default 4. */
  readonly readerPauseMs?: number;
  readonly onPhase?: (phase: SoakPhase) => void;
}

/** What came of it. */
export interface SoakReport {
  readonly virtualHours: number;
  readonly reads: number;
  /** Tokens that were handed out past their end, or that the gateway refused although it had not revoked them. */
  readonly expiredReads: number;
  /** Reads that ended in an error. */
  readonly failedReads: number;
  /** Tokens that the gateway had just revoked while it was told to. */
  readonly revokedReads: number;
  readonly longestReaderWaitMs: number;
  /** Generations that were committed, of all credentials. */
  readonly generations: number;
  /** Pairs that the gateway issued in all, by its own count: as many as generations, unless a reply was lost or a worker killed. */
  readonly pairsAtGateway: number;
  readonly gatewayCalls: number;
  /** Pairs that came of one generation of one credential: the committed one, and any of a worker that was overtaken. */
  readonly maxEffectiveRefreshesPerGeneration: number;
  readonly kills: number;
  readonly auditBreaks: number;
  /** The first few faults that readers met, for people. */
  readonly faults: readonly string[];
}

const minuteShare = 60;
/** Far above what 5 calls a second and life-sized tokens need; with tokens of seconds the limit would be the test. */
const callsPerSecondMax = 1_000;

/**
 * Compresses time: tokens live for seconds, so the gateway's timeouts, the scan and the margins shrink with them, and hours of a worker's life pass in
 * minutes. Worker processes renew, real ones, while readers in this process read without a pause, in TypeScript and over HTTP, and check
 * what they get against the gateway.
 */
export async function soakAccessTokens(options: SoakOptions): Promise<SoakReport> {
  const { tokenTtlMs, seed, latencyMs = 0 } = options;
  const apps = Array.from({ length: options.credentials }, (_, n) => ({
    appKey: `app-${n}`,
    appSecret: `secret-${n}`,
  }));
  const sandbox = await startSandbox({
    seed,
    accessTokenTtlMs: tokenTtlMs,
    opcardApps: apps,
    faults: { latencyMs },
  });
  const apiKey = generateApiKey().reveal();
  const env = environment(options, sandbox, apiKey);
  const app = await startApp({
    config: loadConfig(env),
    databaseUrl: options.databaseUrl,
    roles: new Set(['http', 'relay']),
    logger: createLogger({ level: 'silent' }),
  });
  const workers: WorkerProcess[] = [];
  try {
    await storeAll(app, apps);
    const start = async (): Promise<WorkerProcess> =>
      await startWorkerProcess(env, ['worker', 'relay', 'scheduler']);
    workers.push(...(await Promise.all(Array.from({ length: options.workers }, start))));
    await untilAllAreFresh(app, apps.length);
    return await soak(options, { app, sandbox, apiKey, workers, start });
  } finally {
    await Promise.all(workers.map(async (worker) => await worker.kill()));
    await removeQueues(app);
    await app.stop();
    await sandbox.close();
  }
}

/** A Redis may be somebody else's too, and is left as it was; the database goes as a whole. */
async function removeQueues({ backend }: App): Promise<void> {
  if (backend.kind !== 'redis') return;
  for (const name of queueNames) await backend.queue(name).obliterate({ force: true });
}

function environment(
  { databaseUrl, redis, tokenTtlMs, env }: SoakOptions,
  { checkoutUrl, openApiUrl }: Sandbox,
  apiKey: string,
): Readonly<Record<string, string>> {
  return {
    DATABASE_URL: databaseUrl,
    ...(redis === undefined
      ? { QUEUE_BACKEND: 'postgres' }
      : { REDIS_URL: redis.url, QUEUE_PREFIX: redis.prefix }),
    ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    OCEANPAYMENT_CHECKOUT_URL: checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: openApiUrl,
    OAUTH_CALLS_PER_SECOND_MAX: String(callsPerSecondMax),
    API_KEYS: `soak:${apiKeyDigest(apiKey)}`,
    API_REQUESTS_PER_MINUTE: '10000000',
    CALLBACK_HOST: '127.0.0.1',
    CALLBACK_PORT: '0',
    OPS_PORT: '0',
    ACCESS_TOKEN_TTL_MS: String(tokenTtlMs),
    ACCESS_TOKEN_SKEW_MS: String(Math.round(tokenTtlMs / minuteShare)),
    GATEWAY_TIMEOUT_MS: String(Math.max(400, Math.round(tokenTtlMs / minuteShare))),
    SCAN_INTERVAL_MS: '100',
    DATABASE_POOL_SIZE: '5',
    ...env,
  };
}

const storedAtOnce = 20;

async function storeAll(
  app: App,
  apps: readonly { readonly appKey: string; readonly appSecret: string }[],
): Promise<void> {
  const left = apps.entries();
  await Promise.all(
    Array.from({ length: storedAtOnce }, async () => {
      for (const [index, secrets] of left) {
        await storeCredential(
          app.operations,
          { name: `c${index}`, environment: 'sandbox', family: 'opcard', secrets },
          { type: 'operator', id: 'soak' },
        );
      }
    }),
  );
}

async function untilAllAreFresh({ database }: App, count: number): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ count: number }>`
      select count(*)::integer as count from access_token where generation > 0`.execute(
      database.db,
    );
    if (rows[0]?.count === count) return;
    await setTimeout(20);
  }
}

interface Scene {
  readonly app: App;
  readonly sandbox: Sandbox;
  readonly apiKey: string;
  readonly workers: WorkerProcess[];
  readonly start: () => Promise<WorkerProcess>;
}

async function soak(options: SoakOptions, scene: Scene): Promise<SoakReport> {
  const { app, sandbox } = scene;
  const { latencyMs = 0 } = options;
  const reader = openSubscribedReader({
    ...app.operations,
    databaseUrl: options.databaseUrl,
    onFault: () => undefined,
  });
  const tally = createTally();
  const over = new AbortController();
  const readers = Promise.all(
    [...inTypeScript(reader), ...overHttp(app.urls?.private ?? '', scene.apiKey)].map(
      async (read) => {
        await keepReading(read, options, scene, tally, over.signal);
      },
    ),
  );
  let kills = 0;
  const startedAt = performance.now();
  let virtualHours = 0;
  try {
    for (const phase of options.phases) {
      options.onPhase?.(phase);
      tally.isRevoking = phase.isRevoking ?? false;
      sandbox.setFaults({ ...faultDefaults, latencyMs, ...phase.faults });
      const lastsMs = (phase.virtualMinutes / minuteShare) * options.tokenTtlMs;
      const passed = setTimeout(lastsMs);
      if (phase.isKilling === true) kills += await keepKilling(scene, passed);
      await passed;
    }
    virtualHours = (performance.now() - startedAt) / options.tokenTtlMs;
  } finally {
    sandbox.setFaults(faultDefaults);
    over.abort();
    await readers;
    await reader.close();
  }
  await untilNoRenewalIsUnderWay(app);
  const { generations, ...trail } = await judgeTrail(app);
  const { calls, accessTokens } = sandbox.state();
  return {
    virtualHours: Number(virtualHours.toFixed(1)),
    reads: tally.reads,
    expiredReads: tally.expiredReads,
    failedReads: tally.failedReads,
    revokedReads: tally.revokedReads,
    longestReaderWaitMs: Number(tally.longestMs.toFixed(1)),
    generations,
    pairsAtGateway: accessTokens.issued,
    gatewayCalls: calls['oauth-create'] + calls['oauth-refresh'],
    kills,
    faults: tally.faults,
    ...trail,
  };
}

/** Kills one worker process after the other, each as soon as the one before is back. */
async function keepKilling({ workers, start }: Scene, passed: Promise<unknown>): Promise<number> {
  let kills = 0;
  let isOver = false;
  void passed.then(() => (isOver = true));
  while (!isOver) {
    const victim = workers.shift();
    await victim?.kill();
    kills += 1;
    workers.push(await start());
  }
  return kills;
}

/**
 * Lets no further renewal begin, and those under way end: a stop would cut their calls off, and the gateway would have issued
 * pairs that nobody got.
 */
async function untilNoRenewalIsUnderWay({ backend }: App): Promise<void> {
  const queue = backend.queue('access-token');
  await queue.pause();
  while ((await queue.getActiveCount()) > 0) await setTimeout(20);
}

/** What the audit trail says of the renewals, for the whole time. */
async function judgeTrail({
  database,
}: App): Promise<
  Pick<SoakReport, 'generations' | 'maxEffectiveRefreshesPerGeneration' | 'auditBreaks'>
> {
  const { rows } = await sql<{ generations: number; most: number }>`
    select count(*) filter (where is_committed)::integer as generations, max(pairs)::integer as most from (
      select bool_or(event <> 'access_token.candidate_kept') as is_committed,
        count(*) filter (where event in ('access_token.refreshed', 'access_token.issued'))
          -- One that is kept may be adopted later, or be so at once.
          + greatest(count(*) filter (where event = 'access_token.candidate_kept'), count(*) filter (where event = 'access_token.candidate_adopted')) as pairs
      from audit_event
      where event in ('access_token.refreshed', 'access_token.issued', 'access_token.candidate_kept', 'access_token.candidate_adopted')
      group by entity_id, detail ->> 'generation'
    ) generation`.execute(database.db);
  return {
    generations: rows[0]?.generations ?? 0,
    maxEffectiveRefreshesPerGeneration: rows[0]?.most ?? 0,
    auditBreaks: (await findAuditBreaks(database.db)).length,
  };
}
