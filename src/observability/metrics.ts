import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type HealthReport, healthReasons } from '../domain/health.ts';
import { type AccessTokenReadOutcome, accessTokenReadOutcomes } from '../domain/access-token.ts';

/** The values that a scrape reads from PostgreSQL and the queues. */
export interface Scraped {
  readonly queueDepths: readonly {
    readonly queue: string;
    readonly state: string;
    readonly jobs: number;
  }[];
  readonly outboxBacklog: { readonly rows: number; readonly oldestMs: number };
  readonly tokenizations: Readonly<Record<string, number>>;
  readonly accessTokens: {
    readonly states: Readonly<Record<string, number>>;
    /** In milliseconds; undefined where no credential is active. */
    readonly leastLeftMs: number | undefined;
  };
  /** How long ago each repeating job ran, in milliseconds. */
  readonly scanAgesMs: ReadonlyMap<string, number>;
}

/** A finished run of a job. */
export interface ObservedRun {
  readonly queue: string;
  readonly job: string;
  readonly outcome: string;
  readonly durationMs: number;
}

/** A finished call to the gateway. */
export interface ObservedCall {
  readonly operation: string;
  readonly outcome: string;
  readonly durationMs: number;
}

/** An answered request to the HTTP API. */
export interface ObservedApiRequest {
  readonly method: string;
  /** The pattern of the route. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
}

/** The metrics of a process. Every label has a closed set of values. */
export interface Metrics {
  readonly observeJob: (run: ObservedRun) => void;
  readonly observeGatewayCall: (call: ObservedCall) => void;
  readonly observeApiRequest: (request: ObservedApiRequest) => void;
  readonly countTransition: (entity: string, event: string) => void;
  readonly observeBatch: (size: number) => void;
  readonly countCallback: (channel: string, result: string) => void;
  readonly countAccessTokenRead: (outcome: AccessTokenReadOutcome) => void;
  /** Counts reads of access tokens that the read audit has lost. */
  readonly countUnrecordedReads: (unrecorded: readonly { readonly reads: number }[]) => void;
  /** Sets how many calls of a target failed in a row. */
  readonly setFailedInARow: (target: string, failures: number) => void;
  /** Sets how many calls of a target the gateway refused in a row. */
  readonly setRefusedInARow: (target: string, refusals: number) => void;
  /** Registers the health check that each scrape makes. */
  readonly onHealthScrape: (check: () => Promise<HealthReport>) => void;
  /**
   * Registers what each scrape reads. A failing source leaves its gauges out and counts an error.
   */
  readonly onScrape: (read: () => Promise<Scraped>) => void;
  readonly render: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Every metric of the worker, with its meaning. */
export const metricTable = {
  token_worker_job_seconds: 'How long job runs took, by queue, job and outcome',
  token_worker_gateway_call_seconds: 'How long gateway calls took, by operation and outcome',
  token_worker_api_request_seconds:
    'How long requests to the HTTP API took, by method, route and status',
  token_worker_transitions_total: 'Committed state changes, by entity and event',
  token_worker_transition_batch_size: 'State changes committed by one statement',
  token_worker_callbacks_total: 'Messages at the callback routes, by channel and result',
  token_worker_queue_jobs: 'Jobs in each queue, by state',
  token_worker_outbox_rows: 'Committed jobs that the relay has not yet put onto their queue',
  token_worker_outbox_oldest_seconds: 'How long the oldest job in the outbox has been due',
  token_worker_tokenizations:
    'Tokenizations that the worker is at work on, by state; those with a result are in token_worker_transitions_total',
  token_worker_access_tokens: 'Access tokens of active credentials, by state',
  token_worker_access_token_least_life_seconds:
    'Remaining life of the access token that expires first; 0 or less: an active credential has no valid one',
  token_worker_access_token_reads_total: `Reads of access tokens, by outcome: ${accessTokenReadOutcomes.join(', ')}`,
  token_worker_access_token_unrecorded_reads_total:
    'Reads of access tokens that were never written to the read audit; each is in the log',
  token_worker_scan_age_seconds: 'How long ago each repeating job ran, by job',
  token_worker_calls_failed_in_a_row:
    'Calls that failed in a row, by target: an operation of the gateway, or delivery of events; 0: the last one succeeded',
  token_worker_calls_refused_in_a_row:
    'Calls that the gateway refused in a row, by target: an operation of its JSON API; 0: it accepted the last one, or refused only one customer',
  token_worker_health_cause: `1 while a health check fails, by check and reason: ${healthReasons.join(', ')}`,
  token_worker_scrape_errors_total: 'Scrapes that could not read the queues or the database',
} as const;

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20];

/** Creates the metrics of a process, in a separate registry. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const common = <Name extends keyof typeof metricTable>(name: Name) => ({
    name,
    help: metricTable[name],
    registers: [registry],
  });
  const jobs = new Histogram({
    ...common('token_worker_job_seconds'),
    labelNames: ['queue', 'job', 'outcome'],
    buckets: secondsBuckets,
  });
  const calls = new Histogram({
    ...common('token_worker_gateway_call_seconds'),
    labelNames: ['operation', 'outcome'],
    buckets: secondsBuckets,
  });
  const requests = new Histogram({
    ...common('token_worker_api_request_seconds'),
    labelNames: ['method', 'route', 'status'],
    buckets: secondsBuckets,
  });
  const transitions = new Counter({
    ...common('token_worker_transitions_total'),
    labelNames: ['entity', 'event'],
  });
  const batches = new Histogram({
    ...common('token_worker_transition_batch_size'),
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500],
  });
  const callbacks = new Counter({
    ...common('token_worker_callbacks_total'),
    labelNames: ['channel', 'result'],
  });
  const reads = new Counter({
    ...common('token_worker_access_token_reads_total'),
    labelNames: ['outcome'],
  });
  const unrecordedReads = new Counter(common('token_worker_access_token_unrecorded_reads_total'));
  const gauge = (name: keyof typeof metricTable, labelNames: readonly string[]) =>
    new Gauge({ ...common(name), labelNames });
  const failedInARow = gauge('token_worker_calls_failed_in_a_row', ['target']);
  const refusedInARow = gauge('token_worker_calls_refused_in_a_row', ['target']);
  const healthCauses = gauge('token_worker_health_cause', ['check', 'reason']);
  const healthChecks: (() => Promise<HealthReport>)[] = [];
  const scrape = createScrape(common);

  return {
    observeJob: ({ queue, job, outcome, durationMs }) =>
      jobs.observe({ queue, job, outcome }, durationMs / 1_000),
    observeGatewayCall: ({ operation, outcome, durationMs }) =>
      calls.observe({ operation, outcome }, durationMs / 1_000),
    observeApiRequest: ({ method, route, status, durationMs }) =>
      requests.observe({ method, route, status: String(status) }, durationMs / 1_000),
    countTransition: (entity, event) => transitions.inc({ entity, event }),
    observeBatch: (size) => batches.observe(size),
    countCallback: (channel, result) => callbacks.inc({ channel, result }),
    countAccessTokenRead: (outcome) => reads.inc({ outcome }),
    countUnrecordedReads: (unrecorded) =>
      unrecordedReads.inc(unrecorded.reduce((sum, one) => sum + one.reads, 0)),
    setFailedInARow: (target, failures) => failedInARow.set({ target }, failures),
    setRefusedInARow: (target, refusals) => refusedInARow.set({ target }, refusals),
    onHealthScrape: (check) => healthChecks.push(check),
    onScrape: scrape.register,
    async render() {
      await scrape.read();
      healthCauses.reset();
      for (const checkHealth of healthChecks) {
        for (const { check, reason } of (await checkHealth()).causes) {
          healthCauses.set({ check, reason }, 1);
        }
      }
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

type Common = <Name extends keyof typeof metricTable>(
  name: Name,
) => { name: Name; help: string; registers: Registry[] };

function createScrape(common: Common): {
  register: Metrics['onScrape'];
  read: () => Promise<void>;
} {
  const depth = new Gauge({ ...common('token_worker_queue_jobs'), labelNames: ['queue', 'state'] });
  const outbox = new Gauge(common('token_worker_outbox_rows'));
  const outboxAge = new Gauge(common('token_worker_outbox_oldest_seconds'));
  const states = new Gauge({ ...common('token_worker_tokenizations'), labelNames: ['state'] });
  const tokens = new Gauge({ ...common('token_worker_access_tokens'), labelNames: ['state'] });
  const leastLife = new Gauge(common('token_worker_access_token_least_life_seconds'));
  const scanAges = new Gauge({ ...common('token_worker_scan_age_seconds'), labelNames: ['job'] });
  const errors = new Counter(common('token_worker_scrape_errors_total'));
  const readers: (() => Promise<Scraped>)[] = [];
  return {
    register: (read) => readers.push(read),
    async read() {
      // A gauge whose source fails must not keep its previous value.
      for (const gauge of [depth, states, tokens, scanAges]) gauge.reset();
      // A reset gauge without labels reads 0, and an unreadable outbox must not look empty.
      for (const gauge of [outbox, outboxAge, leastLife]) gauge.remove();
      for (const reader of readers) {
        try {
          const { queueDepths, outboxBacklog, tokenizations, accessTokens, scanAgesMs } =
            await reader();
          for (const { queue, state, jobs } of queueDepths) depth.set({ queue, state }, jobs);
          outbox.set(outboxBacklog.rows);
          outboxAge.set(outboxBacklog.oldestMs / 1_000);
          for (const [state, count] of Object.entries(tokenizations)) states.set({ state }, count);
          for (const [state, count] of Object.entries(accessTokens.states)) {
            tokens.set({ state }, count);
          }
          const { leastLeftMs } = accessTokens;
          if (leastLeftMs !== undefined) leastLife.set(leastLeftMs / 1_000);
          for (const [job, ageMs] of scanAgesMs) scanAges.set({ job }, ageMs / 1_000);
        } catch {
          errors.inc();
        }
      }
    },
  };
}
