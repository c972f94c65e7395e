import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from './config/config.ts';
import { type Database, openDatabase } from './db/connection/database.ts';
import { ensureAuditPartitions } from './db/audit.ts';
import { countAccessTokens } from './db/access-tokens.ts';
import { findScanAges } from './db/scan-runs.ts';
import { readOutboxBacklog } from './db/outbox.ts';
import { countUnfinishedTokenizations } from './db/tokenizations.ts';
import { createTransitionDoor, type ObservableDoor } from './db/transition-door.ts';
import type { HealthCause, HealthReport } from './domain/health.ts';
import { queueNames } from './domain/queue-names.ts';
import type { Role } from './domain/roles.ts';
import { createGatewayClient } from './gateway/client.ts';
import { createPrivateServer } from './http/private-server.ts';
import { createPublicServer } from './http/public-server.ts';
import { accountsKeptMs, createAccounts } from './account/accounts.ts';
import { checkDefaultAccount } from './account/check-account.ts';
import type { JobDependencies, OperationDependencies } from './execution/dependencies.ts';
import { createCoalescedQueries } from './gateway/coalesced-queries.ts';
import { repeatingJobs } from './jobs/registry.ts';
import { receiveCallback, receiveUnstorable } from './callback/receive.ts';
import { registerWebhookEndpoint, webhookEndpointId } from './delivery/endpoint.ts';
import { createHealthCheck } from './health/check-health.ts';
import { watchHealth } from './health/watch-health.ts';
import { type CallWatch, createCallWatch } from './observability/call-watch.ts';
import { createGatewayWatch, type GatewayWatch } from './observability/gateway-watch.ts';
import { createFaultLog } from './observability/fault-log.ts';
import { storeEnvironmentCredentials } from './credential/environment.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import type { Logger } from './observability/logger.ts';
import { quietStoreFaults } from './observability/quiet-store-faults.ts';
import { createCallLimiters } from './call-limiters.ts';
import { openQueueBackend, type QueueBackend } from './queues/backend.ts';
import { restoreJobs } from './queues/producer.ts';
import { createHandOver } from './queues/hand-over.ts';
import { readQueueDepths } from './queues/queue-depth.ts';
import { startListeningRelay } from './queues/listening-relay.ts';
import type { Relay } from './queues/relay.ts';
import { startSchedulers } from './queues/schedulers.ts';
import { startWorker } from './queues/worker.ts';
import { createWebhookSender } from './webhooks/sender.ts';
import { createKeyring } from './security/keyring.ts';
import { createShutdown, type Shutdown } from './shutdown.ts';
import { openSubscribedReader } from './access-token/read/reader.ts';

/** What a worker process is built from. */
export interface AppOptions {
  readonly config: Config;
  /** `DATABASE_URL`, or the URL of an embedded server. */
  readonly databaseUrl: string;
  readonly roles: ReadonlySet<Role>;
  readonly logger: Logger;
}

/** A running worker process. */
export interface App {
  /** For callers that act on tokens outside a job. */
  readonly operations: OperationDependencies;
  readonly database: Database;
  readonly backend: QueueBackend;
  /** Addresses of the listeners; undefined without the role `http`. */
  readonly urls: { readonly public: string; readonly private: string } | undefined;
  /** Closes everything in reverse order, within the shutdown deadline. */
  readonly stop: Shutdown['run'];
}

/**
 * Builds every long-lived object once, in order, and closes them in reverse: intake opens last and
 * closes first. Throws an `AppError` that names what to change, after closing what it had opened.
 */
export async function startApp(given: AppOptions): Promise<App> {
  const options = { ...given, logger: quietStoreFaults(given.logger) };
  const { config, logger } = options;
  const shutdown = createShutdown({ deadlineMs: config.shutdownDeadlineMs, logger });
  try {
    return await build(options, shutdown);
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function build(options: AppOptions, shutdown: Shutdown): Promise<App> {
  const { config, databaseUrl, roles, logger } = options;
  const listenUrl = config.database.listenUrl ?? databaseUrl;
  const metrics = createMetrics();
  const workerId = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const relay: { current: Relay | undefined } = { current: undefined };

  const database = await openDatabase({
    url: databaseUrl,
    poolSizeMax: config.database.poolSizeMax,
    onConnectionError: (error) => logger.warn({ error }, 'a database connection was lost'),
  });
  shutdown.own('database', database);
  const backend = await openQueueBackend(
    config.queue.backend === 'redis'
      ? { kind: 'redis', ...config.queue.redis, prefix: config.queue.prefix }
      : { kind: 'postgres', databaseUrl: listenUrl },
    (error) => logger.warn({ error }, 'a queue connection failed'),
  );
  shutdown.own('queues', backend);
  const nudgeRelay = (): void => relay.current?.nudge();
  const handOver = createHandOver({
    backend,
    db: database.db,
    logger,
    onJobsWritten: nudgeRelay,
  });
  shutdown.own('hand-over of jobs', handOver);
  const door = createTransitionDoor(database.db, {
    handOver,
    isAnnouncing: config.webhook !== undefined,
    onCommitted: metrics.countTransition,
    onBatch: metrics.observeBatch,
    onJobsWritten: nudgeRelay,
  });
  shutdown.own('transition door', door);
  const keyring = createKeyring(config.encryptionKeys);
  const operations: OperationDependencies = {
    db: database.db,
    door,
    keyring,
    accounts: createAccounts(database.db, keyring, accountsKeptMs),
    settings: config.jobs,
  };
  if (config.webhook !== undefined) await registerWebhookEndpoint(operations, config.webhook.url);
  await storeEnvironmentCredentials(operations, config.credentials, config.gateway.environment);

  const watched = watchProcess(options, { database, door, backend, metrics }, shutdown);
  if (roles.has('relay')) {
    relay.current = startListeningRelay({ operations, backend, workerId, logger, listenUrl });
    shutdown.own('relay', relay.current);
  }
  if (roles.has('worker'))
    startWorkers(options, { backend, operations, metrics, workerId, watched }, shutdown);
  if (roles.has('scheduler')) {
    const repeating = repeatingJobs(config.jobs.scanIntervalMs);
    const schedulers = await startSchedulers({ backend, db: database.db, repeating, logger });
    shutdown.own('schedulers', schedulers);
  }
  const urls = roles.has('http')
    ? await listen(
        options,
        { database, backend, operations, metrics, nudgeRelay, watched },
        shutdown,
      )
    : undefined;
  return { operations, database, backend, urls, stop: shutdown.run };
}

/** What the process observes about itself. */
interface Watched {
  readonly checkHealth: () => Promise<HealthReport>;
  readonly gatewayCalls: GatewayWatch;
  readonly webhookCalls: CallWatch;
}

/** Watches the health of the process, whatever its roles: it logs each cause and its end. */
function watchProcess(
  { config, logger }: AppOptions,
  parts: { database: Database; door: ObservableDoor; backend: QueueBackend; metrics: Metrics },
  shutdown: Shutdown,
): Watched {
  const { database, door, backend, metrics } = parts;
  const log = createFaultLog(logger);
  const { setFailedInARow: onFailedInARow, setRefusedInARow: onRefusedInARow } = metrics;
  const gatewayCalls = createGatewayWatch(log, { onFailedInARow, onRefusedInARow });
  const webhookCalls = createCallWatch('webhook', log, { onFailedInARow });
  const checkHealth = createHealthCheck({
    db: database.db,
    backend,
    door,
    repeating: repeatingJobs(config.jobs.scanIntervalMs),
    gatewayCalls,
    webhookCalls,
    webhookEndpointId: config.webhook && webhookEndpointId(config.webhook.url),
  });
  // Without the partition no change of state commits, and the next run of its job may be hours
  // away.
  const repair = async ({ check }: HealthCause): Promise<void> => {
    if (check === 'audit_partition') await ensureAuditPartitions(database.db);
  };
  shutdown.own('health watch', watchHealth(checkHealth, log, { repair }));
  return { checkHealth, gatewayCalls, webhookCalls };
}

/** The time for jobs to store that their calls were aborted at a stop. */
const storeAbortedMs = 3_000;

function startWorkers(
  { config, logger }: AppOptions,
  parts: {
    backend: QueueBackend;
    operations: OperationDependencies;
    metrics: Metrics;
    workerId: string;
    watched: Watched;
  },
  shutdown: Shutdown,
): void {
  const { backend, operations, metrics, workerId, watched } = parts;
  const gateway = createGatewayClient(
    { ...config.gateway, ...createCallLimiters(config, operations.db) },
    (call) => {
      metrics.observeGatewayCall(call);
      watched.gatewayCalls.observe(call);
    },
  );
  shutdown.own('gateway client', gateway);
  const { url: proxyUrl, exceptFor } = config.gateway.proxy;
  if (proxyUrl !== undefined) {
    const proxy = new URL(proxyUrl).host;
    logger.info({ proxy, exceptFor }, 'calls to the gateway go through the proxy of HTTPS_PROXY');
  }
  const webhookHost = config.webhook === undefined ? '' : new URL(config.webhook.url).host;
  const webhooks =
    config.webhook &&
    createWebhookSender(config.webhook, (failure, subject) =>
      watched.webhookCalls.observe({ target: 'delivery', host: webhookHost, subject, failure }),
    );
  if (webhooks !== undefined) shutdown.own('webhook sender', webhooks);
  // A wrong account is logged and does not stop the start: the worker still has to keep callbacks.
  void checkDefaultAccount(operations, gateway)
    .then((check) => {
      if (check?.isGood === false) logger.error({}, check.sentence);
    })
    .catch(() => undefined);
  const dependencies: JobDependencies = {
    ...operations,
    gateway,
    webhooks,
    logger,
    workerId,
    random: Math.random,
    enqueue: async (jobs) => await restoreJobs(backend, operations.db, jobs),
    coalescedQueries: createCoalescedQueries(),
  };
  const workers = queueNames.map((queue) => {
    const concurrency = config.queue.concurrency[queue];
    return startWorker(queue, { backend, dependencies, concurrency, observe: metrics.observeJob });
  });
  shutdown.own('workers', {
    close: async (withinMs) => {
      const abortAfterMs = withinMs - Math.min(storeAbortedMs, withinMs / 2);
      await Promise.all(workers.map(async (worker) => await worker.close(abortAfterMs)));
    },
  });
}

async function listen(
  { config, databaseUrl, logger }: AppOptions,
  parts: {
    database: Database;
    backend: QueueBackend;
    operations: OperationDependencies;
    metrics: Metrics;
    nudgeRelay: () => void;
    watched: Watched;
  },
  shutdown: Shutdown,
): Promise<{ public: string; private: string }> {
  const { database, backend, operations, metrics, nudgeRelay, watched } = parts;
  metrics.onHealthScrape(watched.checkHealth);
  const accessTokens = openSubscribedReader({
    ...operations,
    listenUrl: config.database.listenUrl ?? databaseUrl,
    onRead: metrics.countAccessTokenRead,
    onJobsWritten: nudgeRelay,
    onFault: (error) =>
      logger.warn(
        { error },
        'LISTEN connection lost; each read of an access token queries PostgreSQL',
      ),
    onUnrecorded(unrecorded, error, isLost) {
      if (!isLost) {
        logger.warn({ error }, 'reads of access tokens are not recorded yet; trying again');
        return;
      }
      metrics.countUnrecordedReads(unrecorded);
      // The worker logs one line per row, so that the log still names backend and generation.
      for (const { accessTokenId, credential, generation, actor, reads } of unrecorded) {
        logger.error(
          { accessTokenId, credential, generation, actor, reads },
          'reads of an access token are missing from the read audit',
        );
      }
    },
  });
  shutdown.own('access token reader', accessTokens);
  metrics.onScrape(async () => ({
    queueDepths: await readQueueDepths(backend),
    outboxBacklog: await readOutboxBacklog(database.db),
    tokenizations: await countUnfinishedTokenizations(database.db),
    accessTokens: await countAccessTokens(database.db),
    scanAgesMs: await findScanAges(database.db),
  }));
  const privateServer = createPrivateServer(config.privateHttp, {
    readiness: watched.checkHealth,
    renderMetrics: metrics.render,
    boardQueues: queueNames.map(backend.queue),
    operations,
    accessTokens,
    observeApiRequest: metrics.observeApiRequest,
    logger,
  });
  const privateUrl = (await privateServer.listen()).url;
  shutdown.own('private listener', privateServer);

  const publicServer = createPublicServer(config.publicHttp, {
    receiveCallback: async (inbound) =>
      await receiveCallback(operations, inbound, config.publicHttp.onBadNotifySignature),
    receiveUnstorable: async (target) => await receiveUnstorable(operations, target),
    countCallback: metrics.countCallback,
    logger,
  });
  const publicUrl = (await publicServer.listen()).url;
  shutdown.own('public listener', publicServer);
  return { public: publicUrl, private: privateUrl };
}
