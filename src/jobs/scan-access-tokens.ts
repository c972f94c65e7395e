import {
  findDueAccessTokens,
  findOverdueAccessTokens,
  type OverdueAccessToken,
} from '../db/access-tokens.ts';
import { alarmPercents, endingMs } from '../domain/access-token-times.ts';
import { scanPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done, type JobContext } from '../execution/define-job.ts';
import type { JobSettings } from '../execution/dependencies.ts';
import { refreshJob } from '../domain/outbox-job.ts';

/** Intervals whose worth of calls one scan puts on the queue: enough to keep the workers busy, too few to flood the queue. */
const intervalsAhead = 2;
/** Processes that one scan, of whichever of them, is to keep busy. What is too much for fewer, they leave to the next scan. */
const processesFed = 4;
/** Credentials of an environment that one scan puts on the queue at least. */
const rowsMin = 100;
/** Alarms that one scan raises at most; the next one goes on. */
const alarmsMax = 1_000;
/** Scan intervals after which a renewal that has not begun, or not ended, is late. */
const lateIntervals = 4;

/**
 * `access-token.scan` finds access tokens whose renewal has come, and raises an alarm where one is overdue. The repeating schedule only
 * wakes it: what is due is written in Postgres, so a schedule that is late, doubled or missing changes when a scan
 * runs and nothing else.
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
    // First, since the queue may be what is at fault.
    await raiseAlarms(context);
    const due = await findDueAccessTokens(db, rowsMaxOf(settings), endingMs(settings.accessToken));
    const jobs = due.map(({ id, version, generation, credential }) =>
      refreshJob(id, version, credential, generation),
    );
    if (jobs.length > 0) await enqueue(jobs);
    return done(jobs.length > 0 ? 'work_found' : 'nothing_due');
  },
});

function rowsMaxOf({ accessToken, scanIntervalMs }: JobSettings): number {
  const callsPerInterval = (accessToken.callsPerSecondMax * scanIntervalMs) / 1_000;
  return Math.max(rowsMin, Math.ceil(callsPerInterval * intervalsAhead * processesFed));
}

type Context = JobContext<'access_token.alarmed'>;

/** One alarm for each share of its life that a token comes down to while its renewal is overdue. */
async function raiseAlarms(context: Context): Promise<void> {
  const { accessToken, scanIntervalMs } = context.settings;
  // Shorter than a lease, an attempt may simply be under way.
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
  // Somebody else changed it, or raised the alarm: the next scan looks again.
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
