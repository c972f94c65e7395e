import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type JudgedRows,
  type OurReceiver,
  type Receiver,
  startHandWrittenReceiver,
  startOurReceiver,
} from '../contestants/receivers.ts';
import { type BenchServices, startBenchServices } from '../support/bench-services.ts';
import type { Creation } from '../support/gateway-process.ts';
import { type HttpLoad, openHttpLoad } from '../support/http-load.ts';
import { atLeastOne } from '../support/race-options.ts';
import { median, percentile, round } from '../support/numbers.ts';
import { newReferences, now, pause } from '../support/race.ts';
import { type Usage, usedBetween } from '../support/usage.ts';

/**
 * Measures how many pushes a second are acknowledged, beside a hand-written receiver, and how many
 * the product judges. Before each round the product requests a token for each push, so that a push
 * is about a waiting customer, and comes to its per-request URL. First one process
 * acknowledges all pushes; then another one judges them and confirms each token with a query.
 */
export async function callbacks(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pushes: { type: 'string', default: '2000' },
      rounds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '50' },
    },
  });
  const pushes = atLeastOne.parse(values.pushes);
  const rounds = atLeastOne.parse(values.rounds);
  const connections = atLeastOne.parse(values.connections);
  const services = await startBenchServices({ answers: 'page' });
  const load = openHttpLoad(connections);
  const handWritten = await startHandWrittenReceiver(services);
  const ours = await startOurReceiver(services);
  const results = { handWritten: none(), ours: none(), judged: none(), settled: none() };
  try {
    for (const process of [handWritten.process, ours.process, ours.judge]) {
      await pause(services, { workers: [process] });
    }
    for (let turn = 0; turn <= rounds; turn += 1) {
      const { prefix, creations } = await requestTokens(services, ours, pushes);
      const race = { services, load, prefix, creations };
      const theirs = await acknowledge(race, handWritten);
      const acknowledged = await acknowledge(race, ours);
      const { judged, settled } = await judge(race, ours);
      // The first round warms up code and connections.
      if (turn === 0) continue;
      results.handWritten.push(theirs);
      results.ours.push(acknowledged);
      results.judged.push(judged);
      results.settled.push(settled);
    }
  } finally {
    await handWritten.process.kill();
    await ours.close();
    await load.close();
    await services.close();
  }
  return report(results, { pushes, rounds, connections });
}

/** One measurement of all pushes of a round. */
interface Measured {
  readonly perSecond: number;
  readonly p99Ms?: number;
  readonly usage: Usage;
}

const none = (): Measured[] => [];

interface Round {
  readonly services: BenchServices;
  readonly load: HttpLoad;
  readonly prefix: string;
  readonly creations: readonly Creation[];
}

/** Requests tokens until each waits for its customer. */
async function requestTokens(
  services: BenchServices,
  { judge: worker, enqueue, countJudged }: OurReceiver,
  count: number,
): Promise<Pick<Round, 'prefix' | 'creations'>> {
  const { prefix, all } = newReferences(services, count);
  const { answered } = await services.gateway.expect(count);
  await enqueue(all);
  worker.resume();
  await answered;
  while ((await countJudged(prefix)).awaiting < count) await setTimeout(pollMs);
  await pause(services, { workers: [worker] });
  return { prefix, creations: await services.gateway.report() };
}

/** Long, since each poll counts rows. */
const pollMs = 50;

async function acknowledge(
  { services, load, prefix, creations }: Round,
  { name, process, requestsOf, countReceived }: Receiver,
): Promise<Measured> {
  const requests = requestsOf(creations);
  const before = await services.readUsage([process.pid]);
  process.resume();
  const startedAtMs = now();
  const tookMs = await load.postAll(requests, 200);
  const endedAtMs = now();
  const usage = usedBetween(before, await services.readUsage([process.pid]));
  await pause(services, { workers: [process] });
  const { callbacks: stored, audit } = await countReceived(prefix);
  if (stored !== creations.length || audit !== creations.length) {
    throw new Error(`${name}: ${stored} callbacks and ${audit} audit rows of ${creations.length}`);
  }
  return {
    perSecond: (creations.length / (endedAtMs - startedAtMs)) * 1_000,
    p99Ms: percentile(tookMs, 0.99),
    usage,
  };
}

const judgeDeadlineMs = 300_000;

/** Waits until each push has its verdict, and until each token is active. */
async function judge(
  { services, prefix, creations }: Round,
  { judge: worker, countJudged }: OurReceiver,
): Promise<{ readonly judged: Measured; readonly settled: Measured }> {
  const before = await services.readUsage([worker.pid]);
  worker.resume();
  const startedAtMs = now();
  const until = async (read: (rows: JudgedRows) => number): Promise<Measured> => {
    while (read(await countJudged(prefix)) < creations.length) {
      if (now() - startedAtMs > judgeDeadlineMs) throw new Error('not all pushes were judged');
      await setTimeout(pollMs);
    }
    const perSecond = (creations.length / (now() - startedAtMs)) * 1_000;
    return { perSecond, usage: usedBetween(before, await services.readUsage([worker.pid])) };
  };
  const judged = await until((rows) => rows.judged);
  const settled = await until((rows) => rows.active);
  await pause(services, { workers: [worker] });
  return { judged, settled };
}

function report(
  results: Readonly<Record<'handWritten' | 'ours' | 'judged' | 'settled', readonly Measured[]>>,
  options: { readonly pushes: number; readonly rounds: number; readonly connections: number },
): Record<string, unknown> {
  const row = (measured: readonly Measured[]) => {
    const rates = measured.map(({ perSecond }) => Math.round(perSecond));
    const perPush = (read: (usage: Usage) => number): number =>
      round(median(measured.map(({ usage }) => read(usage))) / options.pushes);
    return {
      'per second': Math.round(median(rates)),
      'min-max': `${Math.min(...rates)}-${Math.max(...rates)}`,
      'p99 ms': round(median(measured.map(({ p99Ms }) => p99Ms ?? Number.NaN))),
      'process ms': perPush(({ workerMs }) => workerMs),
      'postgres ms': perPush(({ postgresMs }) => postgresMs),
      'redis ms': perPush(({ redisMs }) => redisMs),
      'WAL bytes': Math.round(perPush(({ walBytes }) => walBytes)),
    };
  };
  const rows = {
    'acknowledged, hand-written': row(results.handWritten),
    'acknowledged, ours': row(results.ours),
    'judged, ours': row(results.judged),
    'judged and confirmed by a query, ours': row(results.settled),
  };
  console.log(
    `${options.pushes} pushes a round, ${options.rounds} rounds after a warm-up, ${options.connections} connections`,
  );
  console.table(rows);
  return { ...options, rows };
}
