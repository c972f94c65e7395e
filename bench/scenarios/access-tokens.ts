import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { withClient } from '../../src/db/connection/database.ts';
import { migrate } from '../../src/db/connection/migrate.ts';
import { migrateQueueSchema } from '../../src/queues/postgres-schema.ts';
import { calm, isCalm, soakRound } from '../support/access-token-phases.ts';
import {
  soakAccessTokens,
  type SoakOptions,
  type SoakReport,
} from '../support/access-token-soak.ts';
import { benchDatabase } from '../support/bench-database.ts';

/** The options of a soak that do not depend on its services. */
type Plan = Omit<SoakOptions, 'databaseUrl' | 'redis' | 'seed'>;

/**
 * Soaks the access tokens in compressed time: a virtual hour, the life of a token, takes 40
 * seconds. Two worker processes renew the tokens of 20 credentials through storms, resets, lost
 * replies, rejections and kills, while readers read all the time. `--rounds <n>` repeats the
 * phases.
 *
 * `--credentials <n>` runs one life of many tokens in one process on a calm gateway, to see how
 * their renewals spread.
 *
 * The exit code is 1 after an expired or failed read, after a generation of two pairs, and on a
 * calm gateway after a pair that became no generation.
 */
export async function accessTokens(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '1' }, credentials: { type: 'string' } },
  });
  const { credentials } = values;
  const plan =
    credentials === undefined
      ? roughPlan(atLeastOne.parse(values.rounds))
      : widePlan(atLeastOne.parse(credentials));
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const server = await benchDatabase();
  try {
    await migrate(server.url);
    await migrateQueueSchema(server.url);
    const redisUrl = process.env['BENCH_REDIS_URL'];
    const prefix = `bench-${randomBytes(4).toString('hex')}`;
    const report = await soakAccessTokens({
      ...plan,
      databaseUrl: server.url,
      redis: redisUrl === undefined ? undefined : { url: redisUrl, prefix },
      seed,
      onPhase: ({ name, virtualMinutes }) => console.log(`${virtualMinutes} min: ${name}`),
    });
    if (isBroken(report, plan)) process.exitCode = 1;
    const { faults, ...numbers } = report;
    for (const fault of faults) console.log(fault);
    const spread = credentials === undefined ? {} : await measureSpread(server.url);
    console.table({ ...numbers, ...spread });
    return { seed, ...numbers, ...spread };
  } finally {
    await server.close();
  }
}

/** Without a round or a credential the soak would prove nothing. */
const atLeastOne = z.coerce.number().int().min(1);

function roughPlan(rounds: number): Plan {
  return {
    // A killed worker keeps its job for 25 seconds of real time; a due token has to live longer.
    tokenTtlMs: 40_000,
    credentials: 20,
    workers: 2,
    phases: Array.from({ length: rounds }, () => soakRound).flat(),
    // Every token has more than 45 minutes left whenever a storm of 45 minutes begins.
    env: { ACCESS_TOKEN_DUE_FRACTION: '0.15' },
  };
}

/** Ten times real speed, so 50 calls a second stand for 5. */
function widePlan(credentials: number): Plan {
  return {
    tokenTtlMs: 360_000,
    credentials,
    workers: 1,
    phases: [{ ...calm, virtualMinutes: 60 }],
    readerPauseMs: 50,
    env: {
      OAUTH_CALLS_PER_SECOND_MAX: '50',
      SCAN_INTERVAL_MS: '500',
      DATABASE_POOL_SIZE: '10',
    },
  };
}

function isBroken(report: SoakReport, { phases }: Plan): boolean {
  return (
    report.expiredReads + report.failedReads + report.auditBreaks > 0 ||
    report.maxEffectiveRefreshesPerGeneration !== 1 ||
    (phases.every(isCalm) && report.pairsAtGateway !== report.generations)
  );
}

/** The spread of renewals, by the audit trail: calls per second and concurrent calls. */
async function measureSpread(databaseUrl: string): Promise<Record<string, unknown>> {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<Record<string, unknown>>(`
      with call as (
        select occurred_at, event, case when event like '%intent' then 1 else -1 end as step
        from token_lifecycle.audit_event
        where event in ('access_token.issue_intent', 'access_token.issued', 'access_token.refresh_intent', 'access_token.refreshed')
      ), per_second as (
        select event, date_trunc('second', occurred_at) as second, count(*) as calls from call
        where step = 1 group by 1, 2
      )
      select (select max(calls) from per_second)::integer as "mostCallsPerSecond",
        (select round(avg(calls), 1) from per_second where event like '%refresh%')::float8 as "meanRefreshesPerSecond",
        (select count(*) from call where event = 'access_token.refreshed')::integer as refreshes,
        (select max(in_progress) from (select sum(step) over (order by occurred_at) as in_progress from call) c)::integer as "mostCallsAtOnce"`);
    return rows[0] ?? {};
  });
}
