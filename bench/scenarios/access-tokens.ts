import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { migrate } from '../../src/db/migrate.ts';
import { migrateQueueSchema } from '../../src/queues/postgres-schema.ts';
import { soakRound } from '../support/access-token-phases.ts';
import { soakAccessTokens, type SoakReport } from '../support/access-token-soak.ts';
import { benchDatabase } from '../support/bench-database.ts';

const tokenTtlMs = 20_000;

/**
 * A soak of the access tokens with time compressed: a virtual hour, the life of a token, takes 20 seconds. Two worker processes renew the
 * tokens of 20 credentials through storms, resets, lost replies, rejections and kills, while readers read without a pause.
 * A reader that is let down, or a generation that came of two pairs, ends in exit code 1. `--rounds <n>`: more of it.
 */
export async function accessTokens(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '1' } },
  });
  const phases = Array.from({ length: Number(values.rounds) }, () => soakRound).flat();
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const server = await benchDatabase();
  try {
    await migrate(server.url);
    await migrateQueueSchema(server.url);
    const redisUrl = process.env['BENCH_REDIS_URL'];
    const prefix = `bench-${randomBytes(4).toString('hex')}`;
    const report = await soakAccessTokens({
      databaseUrl: server.url,
      redis: redisUrl === undefined ? undefined : { url: redisUrl, prefix },
      tokenTtlMs,
      credentials: 20,
      workers: 2,
      seed,
      phases,
      // Whenever a storm of 45 minutes begins, more than 45 minutes of every token are left.
      env: { ACCESS_TOKEN_DUE_FRACTION: '0.15' },
      onPhase: ({ name, virtualMinutes }) => console.log(`${virtualMinutes} min: ${name}`),
    });
    if (isBroken(report)) process.exitCode = 1;
    const { faults, ...numbers } = report;
    console.table(numbers);
    for (const fault of faults) console.log(fault);
    return { seed, ...numbers };
  } finally {
    await server.close();
  }
}

function isBroken(report: SoakReport): boolean {
  return (
    report.expiredReads + report.failedReads + report.auditBreaks > 0 ||
    report.maxEffectiveRefreshesPerGeneration !== 1
  );
}
