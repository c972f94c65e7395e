import type { Config } from '../../config/config.ts';
import { listAuditPartitions } from '../../db/audit.ts';
import { findScanAges } from '../../db/scan-runs.ts';
import type { Database } from '../../db/connection/database.ts';
import { AppError } from '../../domain/errors.ts';
import type { HealthCause, HealthReport } from '../../domain/health.ts';
import { createHealthCheck } from '../../health/check-health.ts';
import { repeatingJobs } from '../../jobs/registry.ts';
import { openQueueBackend, type QueueBackend } from '../../queues/backend.ts';
import { note, say } from './say.ts';

/** An operator waits longer than a probe does. */
const answerWithinMs = 10_000;

/** What is wrong with a store and what to do, by the reason. */
const storeRemedies: Partial<Record<HealthCause['reason'], string>> = {
  no_answer: 'give no answer to a write: look at the server and the network',
  read_only: 'take no writes, since the server is a replica or read only: name the primary',
  full: 'take no writes, since the server is full: give it memory or disk',
  refused: "refuse a write: correct the rights of the worker's login",
};

/** Checks that both stores take what a worker writes. Returns when the queues are closed again. */
export async function checkStores(config: Config, database: Database, url: string): Promise<void> {
  const backend = await openQueues(config, url);
  if (backend === undefined) return;
  try {
    const checkHealth = createHealthCheck({
      db: database.db,
      backend,
      door: { stuckForMs: () => 0 },
      repeating: repeatingJobs(config.jobs.scanIntervalMs),
      gatewayCalls: { failing: () => [], refusing: () => [] },
      webhookCalls: { failing: () => [] },
      webhookEndpointId: undefined,
      // A scan is late however long this command has run.
      startedAt: -Infinity,
      limits: { answerWithinMs },
    });
    const report = await checkHealth();
    sayStore(report, 'database', 'the database', 'takes writes');
    sayStore(report, 'queues', 'the queues', `take writes (${backend.kind})`);
    await sayPartitions(report, database);
    await noteLateScans(report, database);
  } finally {
    await backend.close();
  }
}

/** Opens the queues as the worker does. The sentence of a refusal names what to change. */
async function openQueues(
  { queue, database }: Config,
  url: string,
): Promise<QueueBackend | undefined> {
  try {
    return await openQueueBackend(
      queue.backend === 'redis'
        ? { kind: 'redis', ...queue.redis, prefix: queue.prefix }
        : { kind: 'postgres', databaseUrl: database.listenUrl ?? url },
      () => undefined,
    );
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    say(false, error.message);
    return undefined;
  }
}

function sayStore(
  { causes }: HealthReport,
  check: 'database' | 'queues',
  name: string,
  good: string,
): void {
  const cause = causes.find((one) => one.check === check);
  if (cause === undefined) return say(true, `${name} ${good}`);
  if (cause.reason === 'paused') {
    return say(false, `queues are paused (${cause.names?.join(', ')}): resume them`);
  }
  say(false, `${name} ${storeRemedies[cause.reason] ?? cause.reason}`);
}

async function sayPartitions({ causes }: HealthReport, { db }: Database): Promise<void> {
  if (causes.some(({ check }) => check === 'audit_partition')) {
    return say(
      false,
      'the audit table has no partition for this month, so no change can be committed: run "token-worker migrate"',
    );
  }
  if (causes.some(({ check }) => check === 'database')) return;
  const ahead = (await listAuditPartitions(db)).length - 1;
  say(ahead >= 1, `the audit table has partitions for ${ahead} months ahead`);
}

/** While the workers are stopped all scans are late. Before the first start none has ever run. */
async function noteLateScans({ causes }: HealthReport, { db }: Database): Promise<void> {
  const late = causes.find(({ check }) => check === 'scans');
  if (late === undefined || (await findScanAges(db)).size === 0) return;
  note(
    `no process runs ${late.names?.join(', ')}: are processes with the roles "scheduler" and "worker" up?`,
  );
}
