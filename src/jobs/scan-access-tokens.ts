import {
  findDueAccessTokens,
  findOverdueAccessTokens,
  type OverdueAccessToken,
} from '../db/access-tokens.ts';
import { alarmPercents, expiryHorizonMs } from '../domain/access-token-times.ts';
import { scanPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done, type JobContext } from '../execution/define-job.ts';
import type { JobSettings } from '../execution/dependencies.ts';
import { refreshJob } from '../domain/outbox-job.ts';

/** Scan intervals after which a scan, or a renewal, is late. */
const lateIntervals = 4;
/**
 * Lower bound of a scan's batch limit for each environment. A job that a killed worker still holds
 * is not enqueued again, and with a small limit such jobs could fill the batch.
 */
const rowsMin = 100;
/** The most alarms that one scan raises; the next scan goes on. */
const alarmsMax = 1_000;

/**
 * `access-token.scan` enqueues the renewal of due access tokens by urgency, and raises an alarm
 * where a renewal is overdue. The repeating schedule only starts it: what is due is in Postgres, so
 * a schedule that is late, doubled or missing changes when a scan runs and nothing else.
 */
export const scanAccessTokens = defineJob({
  name: 'access-token.scan',
  queue: 'access-token',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 1, baseMs: 1_000, capMs: 1_000 }),
  timeoutMs: 15_000,
  isRepeating: true,
  emits: ['access_token.alarmed'],
  async run(_, context) {
    const { db, enqueue, settings } = context;
    const { accessToken } = settings;
    // First, since the queue itself may be the fault.
    await raiseAlarms(context);
    const due = await findDueAccessTokens(db, rowsMaxOf(settings), expiryHorizonMs(accessToken));
    // Spread at the rate limit: a job that comes when no permit is free is dropped.
    const everyMs = 1_000 / accessToken.callsPerSecondMax;
    const jobs = due.map(({ id, version, credential, generation, position }) => ({
      ...refreshJob(id, version, credential, generation),
      delayMs: Math.floor(position * everyMs),
    }));
    if (jobs.length > 0) await enqueue(jobs);
    return done(jobs.length > 0 ? 'work_found' : 'nothing_due');
  },
});

/** What the rate limit lets through until the next scan would be late. */
function rowsMaxOf({ accessToken, scanIntervalMs }: JobSettings): number {
  const callsPerInterval = (accessToken.callsPerSecondMax * scanIntervalMs) / 1_000;
  return Math.max(rowsMin, Math.ceil(callsPerInterval * lateIntervals));
}

type Context = JobContext<'access_token.alarmed'>;

/**
 * Raises one alarm at each threshold of remaining life that a token reaches while its renewal is
 * overdue.
 */
async function raiseAlarms(context: Context): Promise<void> {
  const { accessToken, scanIntervalMs } = context.settings;
  // Within a lease, an attempt may simply be under way.
  const lateMs = Math.max(lateIntervals * scanIntervalMs, accessToken.leaseMs);
  const overdue = await findOverdueAccessTokens(context.db, lateMs, alarmPercents, alarmsMax);
  await Promise.all(overdue.map(async (token) => await raiseAlarm(token, context)));
}

async function raiseAlarm(token: OverdueAccessToken, context: Context): Promise<void> {
  const { credential, percent, generation, failures } = token;
  const outcome = await context.apply({
    entity: 'access_token',
    row: token,
    event: 'access_token.alarmed',
    patch: { alarm_percent: percent },
    audit: { reason: 'renewal_overdue', detail: { generation, lifeLeftPercent: percent } },
  });
  // The row has changed since it was read: the next scan decides again.
  if (!outcome.isApplied) return;
  context.logger.error(
    {
      credential,
      code: 'access_token_unavailable',
      lifeLeftPercent: percent,
      failures,
      generation,
    },
    percent === 0
      ? 'there is no valid access token; its renewal fails'
      : 'the renewal of an access token is overdue',
  );
}
