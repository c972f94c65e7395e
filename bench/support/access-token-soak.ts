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
import type { ChildProcess } from './child-process.ts';
import { startWorkerProcess } from './worker-process.ts';
import { openSubscribedReader } from '../../src/access-token/read/reader.ts';

/** A period of one behaviour of the gateway. A virtual hour is one life of a token. */
export interface SoakPhase {
  readonly name: string;
  readonly virtualMinutes: number;
  readonly faults: Partial<FaultSwitches>;
  /** Whether the gateway revokes current tokens; readers report the refused ones. */
  readonly isRevoking?: boolean;
  /** Whether worker processes are killed during the phase, one at a time. */
  readonly isKilling?: boolean;
}

/** The options of a soak. */
export interface SoakOptions {
  /** A migrated database; without Redis it has BullMQ's schema too. */
  readonly databaseUrl: string;
  readonly redis?: { readonly url: string; readonly prefix: string } | undefined;
  /** The life of a token in milliseconds, which stands for 60 minutes. */
  readonly tokenTtlMs: number;
  readonly credentials: number;
  readonly workers: number;
  readonly phases: readonly SoakPhase[];
  readonly seed: number;
  /** The latency of the gateway in milliseconds; default 0. */
  readonly latencyMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** The pause of each reader after a read, in milliseconds; default 4. */
  readonly readerPauseMs?: number;
  readonly onPhase?: (phase: SoakPhase) => void;
}

/** The result of a soak. */
export interface SoakReport {
  readonly virtualHours: number;
  readonly reads: number;
  /** Reads of tokens that had expired, or that the gateway refused without having revoked them. */
  readonly expiredReads: number;
  /** Reads that ended in an error. */
  readonly failedReads: number;
  /** Reads of tokens that the gateway had just revoked, in phases that revoke. */
  readonly revokedReads: number;
  readonly longestReaderWaitMs: number;
  /** Committed generations of all credentials. */
  readonly generations: number;
  /** Pairs that the gateway issued. More than generations only after lost replies and kills. */
  readonly pairsAtGateway: number;
  readonly gatewayCalls: number;
  /** The most pairs of one generation of one credential: the committed one and late ones. */
  readonly maxEffectiveRefreshesPerGeneration: number;
  readonly kills: number;
  readonly auditBreaks: number;
  /** The first few faults that readers met. */
  readonly faults: readonly string[];
}

const minuteShare = 60;
/** High enough that the rate limit plays no part: tokens that live seconds renew often. */
const callsPerSecondMax = 1_000;

/**
 * Soaks the access tokens in compressed time: tokens live for seconds, and the gateway's timeouts,
 * the scan and the margins shrink with them. Worker processes renew the tokens while readers in
 * this process read all the time, in TypeScript and over HTTP, and check each token at the gateway.
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
  const workers: ChildProcess[] = [];
  try {
    await storeAll(app, apps);
    const start = async (): Promise<ChildProcess> =>
      await startWorkerProcess(env, ['worker', 'relay', 'scheduler']);
    workers.push(...(await Promise.all(Array.from({ length: options.workers }, start))));
    await untilAllHaveTokens(app, apps.length);
    return await soak(options, { app, sandbox, apiKey, workers, start });
  } finally {
    await Promise.all(workers.map(async (worker) => await worker.kill()));
    await removeQueues(app);
    await app.stop();
    await sandbox.close();
  }
}

/** Removes the queues from a Redis, which may be shared; the caller drops the whole database. */
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

async function untilAllHaveTokens({ database }: App, count: number): Promise<void> {
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
  readonly workers: ChildProcess[];
  readonly start: () => Promise<ChildProcess>;
}

async function soak(options: SoakOptions, scene: Scene): Promise<SoakReport> {
  const { app, sandbox } = scene;
  const { latencyMs = 0 } = options;
  const reader = openSubscribedReader({
    ...app.operations,
    listenUrl: options.databaseUrl,
    onFault: () => undefined,
  });
  const tally = createTally();
  const stopping = new AbortController();
  const { credentials, readerPauseMs } = options;
  const readersScene = { app, sandbox, credentials, readerPauseMs, tally, stop: stopping.signal };
  const readers = Promise.all(
    [...inTypeScript(reader), ...overHttp(app.urls?.private ?? '', scene.apiKey)].map(
      async (read) => await keepReading(read, readersScene),
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
    stopping.abort();
    await readers;
    await reader.close();
  }
  await untilRenewalsEnd(app);
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

/** Kills one worker process at a time and replaces it before the next. */
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
 * Pauses renewals and waits for the running ones. A stop would cut off their calls, and the gateway
 * would count pairs that no worker received.
 */
async function untilRenewalsEnd({ backend }: App): Promise<void> {
  const queue = backend.queue('access-token');
  await queue.pause();
  while ((await queue.getActiveCount()) > 0) await setTimeout(20);
}

/** The renewals of the whole soak, by the audit trail. */
async function judgeTrail({
  database,
}: App): Promise<
  Pick<SoakReport, 'generations' | 'maxEffectiveRefreshesPerGeneration' | 'auditBreaks'>
> {
  const { rows } = await sql<{ generations: number; most: number }>`
    select count(*) filter (where is_committed)::integer as generations, max(pairs)::integer as most from (
      select bool_or(event <> 'access_token.late_reply') as is_committed, count(*) as pairs
      from audit_event
      where event in ('access_token.refreshed', 'access_token.issued', 'access_token.late_reply')
      group by entity_id, detail ->> 'generation'
    ) generation`.execute(database.db);
  return {
    generations: rows[0]?.generations ?? 0,
    maxEffectiveRefreshesPerGeneration: rows[0]?.most ?? 0,
    auditBreaks: (await findAuditBreaks(database.db)).length,
  };
}
