/** What a worker process checks about itself, in the order of the answer of `/health/ready`. */
export const healthChecks = [
  'database',
  'audit_partition',
  'transition_door',
  'queues',
  'scans',
  'gateway',
  'webhook',
] as const;

export type HealthCheckName = (typeof healthChecks)[number];

/** Why a check fails. */
export const healthReasons = [
  // A store gave no answer in time, or its connection failed.
  'no_answer',
  // The server was demoted to a replica, or was set to read only.
  'read_only',
  // The server has no memory or disk left.
  'full',
  // The server refused the write for another reason.
  'refused',
  // The audit table has no partition for the current month.
  'missing',
  // Every statement of the transition door has waited for too long.
  'exhausted',
  // A queue was paused.
  'paused',
  // A repeating job has not run for several intervals.
  'late',
  // Every call fails.
  'failing',
  // The gateway answers every call with a refusal.
  'refusing',
  // The webhook address was disabled.
  'disabled',
] as const;

export type HealthReason = (typeof healthReasons)[number];

/** Why a process is not ready, or degraded. */
export interface HealthCause {
  readonly check: HealthCheckName;
  readonly reason: HealthReason;
  /** The queues, jobs or operations that it is about. */
  readonly names?: readonly string[];
  /** The underlying error, for the log. It is never in an answer. */
  readonly error?: unknown;
}

/** `degraded`: the process accepts work, and some of it waits. */
export type HealthStatus = 'ok' | 'degraded' | 'not_ready';

/** The result of all checks. */
export interface HealthReport {
  readonly status: HealthStatus;
  /**
   * Whether each check passed. While a store is unavailable, the checks that need it are missing.
   */
  readonly checks: Readonly<Partial<Record<HealthCheckName, boolean>>>;
  readonly causes: readonly HealthCause[];
}

/** Causes for which a process can't commit what it is sent. */
const commitChecks: ReadonlySet<HealthCheckName> = new Set([
  'database',
  'audit_partition',
  'transition_door',
]);

/** Causes for which a process is not ready: it can't commit, or its jobs can't run. */
const blockingChecks: ReadonlySet<HealthCheckName> = new Set([...commitChecks, 'queues']);

/**
 * Whether a process can take callbacks of the gateway. It needs PostgreSQL only: while the queues
 * are unavailable, the jobs wait in the outbox.
 */
export function canTakeCallbacks({ causes }: HealthReport): boolean {
  return !causes.some(({ check }) => commitChecks.has(check));
}

/**
 * Sums up the checks that were made. Work that waits is no reason to send a process no requests:
 * callbacks of the gateway would then be refused at the moment when they matter most.
 */
export function summarizeHealth(
  made: readonly HealthCheckName[],
  causes: readonly HealthCause[],
): HealthReport {
  const isBlocking = ({ check, reason }: HealthCause): boolean =>
    blockingChecks.has(check) && reason !== 'paused';
  const failed = new Set(causes.map(({ check }) => check));
  return {
    status: causes.some(isBlocking) ? 'not_ready' : causes.length > 0 ? 'degraded' : 'ok',
    checks: Object.fromEntries(made.map((check) => [check, !failed.has(check)])),
    causes,
  };
}
