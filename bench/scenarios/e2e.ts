import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { startCeiling } from '../contestants/ceiling.ts';
import { startGraphileWorker } from '../contestants/graphile-worker.ts';
import { startHandWritten } from '../contestants/hand-written.ts';
import { defaultConcurrency, startOurs } from '../contestants/ours.ts';
import { startPgBoss } from '../contestants/pg-boss.ts';
import { type BenchServices, startBenchServices } from '../support/bench-services.ts';
import type { Contestant } from '../support/contestant.ts';
import { atLeastOne, delayRange } from '../support/race-options.ts';
import { medianRatio, printStandings, standingsOf } from '../support/race-report.ts';
import { race, type RaceResult } from '../support/race.ts';

/** Below this share of the hand-written rate, `--check` fails. */
const handWrittenShareMin = 0.8;

/**
 * Compares the product end to end with what it stands beside: BullMQ with nothing stored (the
 * ceiling), and the same durable work written by hand. One gateway process, one payload, one server
 * each of PostgreSQL and Redis; each worker is a process of its own, and the contestants alternate.
 *
 * `--check` runs a short race and fails when the product falls behind hand-written code.
 */
export async function e2e(args: readonly string[]): Promise<Record<string, unknown>> {
  const options = parseOptions(args);
  const loadBefore = loadavg()[0];
  const services = await startBenchServices({ delayMs: options.gatewayMs });
  const contestants: Contestant[] = [];
  try {
    await startContestants(services, options, contestants);
    const result = await race(services, contestants, options);
    report(services, result, options);
    if (options.isCheck) checkRatio(result);
    return {
      ...options,
      loadBefore,
      settings: services.settings,
      standings: Object.fromEntries(standingsOf(result, options.jobs)),
    };
  } finally {
    for (const contestant of contestants) await contestant.close();
    await services.close();
  }
}

interface E2eOptions {
  readonly jobs: number;
  readonly rounds: number;
  readonly concurrency: number;
  readonly gatewayMs?: readonly [min: number, max: number];
  readonly isCheck: boolean;
  /** Words of the contestants that run; empty: all. */
  readonly only: readonly string[];
}

function parseOptions(args: readonly string[]): E2eOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      jobs: { type: 'string' },
      rounds: { type: 'string' },
      concurrency: { type: 'string', default: String(defaultConcurrency) },
      'gateway-ms': { type: 'string' },
      check: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
    },
  });
  const isCheck = values.check;
  const delay = values['gateway-ms'];
  return {
    jobs: atLeastOne.parse(values.jobs ?? (isCheck ? '400' : '2000')),
    rounds: atLeastOne.parse(values.rounds ?? '3'),
    concurrency: atLeastOne.parse(values.concurrency),
    ...(delay === undefined ? {} : { gatewayMs: delayRange.parse(delay) }),
    isCheck,
    only: isCheck ? ['hand', 'raw'] : values.only.split(',').filter((word) => word !== ''),
  };
}

/** The contestants that are not the product, by the word that `--only` takes. */
const peers = {
  ceiling: startCeiling,
  hand: startHandWritten,
  graphile: startGraphileWorker,
  pgboss: startPgBoss,
} as const;

async function startContestants(
  services: BenchServices,
  { concurrency, only }: E2eOptions,
  started: Contestant[],
): Promise<void> {
  const isWanted = (word: string): boolean => only.length === 0 || only.includes(word);
  for (const [word, start] of Object.entries(peers)) {
    if (isWanted(word)) started.push(await start(services, concurrency));
  }
  const paths = (['raw', 'sql', 'http'] as const).filter(isWanted);
  if (paths.length === 0) return;
  // Equal to the peers', and as the product is delivered.
  for (const atOnce of new Set([concurrency, defaultConcurrency])) {
    const ours = await startOurs(services, { concurrency: atOnce });
    started.push(...paths.map((path) => ours[path]));
  }
}

function report(
  { settings }: BenchServices,
  result: RaceResult,
  { jobs, rounds, concurrency }: E2eOptions,
): void {
  console.log(
    `${jobs} jobs a round, ${rounds} rounds after a warm-up, ${concurrency} at once; ` +
      Object.entries(settings)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
  );
  const names = [...result.keys()];
  const ceiling = names.find((name) => name.startsWith('ceiling'));
  const handWritten = names.find((name) => name.startsWith('hand'));
  printStandings(result, jobs, {
    ...(ceiling === undefined ? {} : { 'of ceiling': ceiling }),
    ...(handWritten === undefined ? {} : { 'of hand-written': handWritten }),
  });
}

function checkRatio(result: RaceResult): void {
  const [handWritten = '', ours = ''] = [...result.keys()];
  const ratio = medianRatio(result, ours, handWritten);
  console.log(`${ours}: ${ratio} of hand-written, at least ${handWrittenShareMin} expected`);
  if (!(ratio >= handWrittenShareMin)) process.exitCode = 1;
}
