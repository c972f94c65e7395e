import { hasCurrentAuditPartition } from '../db/audit.ts';
import type { Db } from '../db/connection/database.ts';
import { findWebhookEndpoint } from '../db/deliveries.ts';
import { findScanAges, proveDatabaseWrite } from '../db/scan-runs.ts';
import type { ObservableDoor } from '../db/transition-door.ts';
import { withTimeout } from '../db/connection/with-timeout.ts';
import {
  type HealthCause,
  type HealthCheckName,
  healthChecks,
  type HealthReport,
  summarizeHealth,
} from '../domain/health.ts';
import { queueNames } from '../domain/queue-names.ts';
import type { RepeatingJob } from '../jobs/registry.ts';
import type { CallWatch } from '../observability/call-watch.ts';
import type { GatewayWatch } from '../observability/gateway-watch.ts';
import type { QueueBackend } from '../queues/backend.ts';
import { findLateScans } from '../queues/late-scans.ts';
import { reasonOfWriteFault } from './write-fault.ts';

/** What a health check reads. */
export interface HealthOptions {
  readonly db: Db;
  readonly backend: QueueBackend;
  readonly door: Pick<ObservableDoor, 'stuckForMs'>;
  readonly repeating: readonly RepeatingJob[];
  readonly gatewayCalls: Pick<GatewayWatch, 'failing' | 'refusing'>;
  readonly webhookCalls: Pick<CallWatch, 'failing'>;
  /** The id of the merchant's webhook address; undefined where none is configured. */
  readonly webhookEndpointId: string | undefined;
  /** Since when the process has run, on the clock of `performance.now`; default: now. */
  readonly startedAt?: number;
  readonly limits?: Partial<Record<keyof typeof defaultLimits, number>>;
}

/** Times in milliseconds. */
const defaultLimits = {
  /** How long a store may take to answer. */
  answerWithinMs: 2_000,
  /** A statement of the door takes milliseconds; one that waits for a locked row takes longer. */
  doorStuckMs: 5_000,
  /** A scan is not called late for a shorter time, however short its interval is. */
  lateFloorMs: 5_000,
  /** A webhook that fails for a shorter time may have refused one single event. */
  webhookFailingMs: 60_000,
};

/**
 * Creates the health check of a process. It makes one bounded write on both stores, since a demoted
 * server still answers a ping. Concurrent callers share one check, and a store that hangs is not
 * asked again before it has answered: each question would take another connection of the pool.
 */
export function createHealthCheck(options: HealthOptions): () => Promise<HealthReport> {
  const limits = { ...defaultLimits, ...options.limits };
  const bound = (check: HealthCheckName, ask: () => Promise<readonly Finding[]>) =>
    boundedQuestion(check, ask, limits.answerWithinMs);
  const { startedAt = performance.now() } = options;
  const askDatabase = bound('database', async () => {
    const watchedForMs = performance.now() - startedAt;
    return await checkDatabase(options, { ...limits, watchedForMs });
  });
  const askQueues = bound('queues', async () => [await checkQueues(options.backend)]);
  let running: Promise<HealthReport> | undefined;

  async function checkAll(): Promise<HealthReport> {
    const findings = [
      ...(await Promise.all([askDatabase(), askQueues()])).flat(),
      checkDoor(options, limits.doorStuckMs),
      ...checkGateway(options),
    ].toSorted((a, b) => healthChecks.indexOf(a.check) - healthChecks.indexOf(b.check));
    return summarizeHealth(
      findings.map(({ check }) => check),
      findings.flatMap(({ check, fault }) => (fault === undefined ? [] : [{ check, ...fault }])),
    );
  }

  return async () => {
    running ??= checkAll().finally(() => {
      running = undefined;
    });
    return await running;
  };
}

type Fault = Omit<HealthCause, 'check'>;

/** The result of one check. */
interface Finding {
  readonly check: HealthCheckName;
  /** Undefined where the check passed. */
  readonly fault: Fault | undefined;
}

/** A question with a deadline. A thrown error becomes the finding of `check`. */
function boundedQuestion(
  check: HealthCheckName,
  ask: () => Promise<readonly Finding[]>,
  answerWithinMs: number,
): () => Promise<readonly Finding[]> {
  const late = (): Error => new Error('no answer in time');
  let asking: Promise<readonly Finding[]> | undefined;
  return async () => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    try {
      return await withTimeout(asking, answerWithinMs, late);
    } catch (error) {
      return [{ check, fault: { reason: reasonOfWriteFault(error), error } }];
    }
  };
}

/** Uses one connection after the other, so that a check never waits for a second one. */
async function checkDatabase(
  options: HealthOptions,
  limits: typeof defaultLimits & { readonly watchedForMs: number },
): Promise<readonly Finding[]> {
  const { db } = options;
  const written = await findWriteFault(db);
  const hasPartition = await hasCurrentAuditPartition(db);
  const { watchedForMs, lateFloorMs } = limits;
  const late = findLateScans(options.repeating, await findScanAges(db), watchedForMs, lateFloorMs);
  return [
    { check: 'database', fault: written },
    { check: 'audit_partition', fault: hasPartition ? undefined : { reason: 'missing' } },
    {
      check: 'scans',
      fault:
        late.length === 0 ? undefined : { reason: 'late', names: late.map(({ job }) => job.name) },
    },
    { check: 'webhook', fault: await findWebhookFault(options, limits.webhookFailingMs) },
  ];
}

/** The reason why PostgreSQL refuses a write. Throws if it gives no answer. */
async function findWriteFault(db: Db): Promise<Fault | undefined> {
  try {
    await proveDatabaseWrite(db);
    return undefined;
  } catch (error) {
    const reason = reasonOfWriteFault(error);
    if (reason === 'no_answer') throw error;
    return { reason, error };
  }
}

/** Whether the webhook fails, for the process that sends and for those that only read its row. */
async function findWebhookFault(
  { db, webhookEndpointId, webhookCalls }: HealthOptions,
  webhookFailingMs: number,
): Promise<Fault | undefined> {
  if (webhookEndpointId === undefined) return undefined;
  const endpoint = await findWebhookEndpoint(db, webhookEndpointId);
  if (endpoint?.state === 'disabled') return { reason: 'disabled' };
  const failingMs = Date.now() - (endpoint?.failing_since?.getTime() ?? Infinity);
  const isFailing = failingMs > webhookFailingMs || webhookCalls.failing().length > 0;
  return isFailing ? { reason: 'failing' } : undefined;
}

async function checkQueues(backend: QueueBackend): Promise<Finding> {
  await backend.proveWrite();
  const states = await Promise.all(
    queueNames.map(async (name) => ({ name, isPaused: await backend.queue(name).isPaused() })),
  );
  const names = states.filter(({ isPaused }) => isPaused).map(({ name }) => name);
  return { check: 'queues', fault: names.length > 0 ? { reason: 'paused', names } : undefined };
}

function checkDoor({ door }: HealthOptions, doorStuckMs: number): Finding {
  const isStuck = door.stuckForMs() > doorStuckMs;
  return { check: 'transition_door', fault: isStuck ? { reason: 'exhausted' } : undefined };
}

function checkGateway({ gatewayCalls }: HealthOptions): readonly Finding[] {
  const found = [
    ['failing', gatewayCalls.failing()],
    ['refusing', gatewayCalls.refusing()],
  ] as const;
  return found.map(([reason, names]) => ({
    check: 'gateway',
    fault: names.length > 0 ? { reason, names } : undefined,
  }));
}
