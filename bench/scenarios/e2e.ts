import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startCeiling } from '../contestants/ceiling.ts';
import { startHandWritten } from '../contestants/hand-written.ts';
import { startOurs } from '../contestants/ours.ts';
import { type BenchServices, startBenchServices } from '../support/bench-services.ts';
import type { Contestant } from '../support/contestant.ts';
import { medianRatio, printStandings, standingsOf } from '../support/race-report.ts';
import { race, type RaceResult } from '../support/race.ts';

/** Below this share of the hand-written rate, `--check` fails. */
const handWrittenShareMin = 0.3;

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
  const services = await startBenchServices(options.gatewayMs);
  const contestants: Contestant[] = [];
  try {
    for (const start of startersOf(options)) contestants.push(...(await start(services)));
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

const atLeastOne = z.coerce.number().int().min(1);
const range = z
  .string()
  .regex(/^\d+(?:\.\.\d+)?$/, { error: '--gateway-ms: give 100 or 50..200' })
  .transform((text): readonly [number, number] => {
    const [min = 0, max = min] = text.split('..').map(Number);
    return [min, max];
  });

function parseOptions(args: readonly string[]): E2eOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      jobs: { type: 'string' },
      rounds: { type: 'string' },
      concurrency: { type: 'string', default: '32' },
      'gateway-ms': { type: 'string' },
      check: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
    },
  });
  const isCheck = values.check;
  const delay = values['gateway-ms'];
  return {
    jobs: atLeastOne.parse(values.jobs ?? (isCheck ? '600' : '2000')),
    rounds: atLeastOne.parse(values.rounds ?? '3'),
    concurrency: atLeastOne.parse(values.concurrency),
    ...(delay === undefined ? {} : { gatewayMs: range.parse(delay) }),
    isCheck,
    only: isCheck ? ['hand', 'raw'] : values.only.split(',').filter((word) => word !== ''),
  };
}

/** A starter may start several contestants that share a worker. */
type Starter = (services: BenchServices) => Promise<readonly Contestant[]>;

function startersOf({ concurrency, only }: E2eOptions): readonly Starter[] {
  const isWanted = (word: string): boolean => only.length === 0 || only.includes(word);
  const starters: Starter[] = [];
  if (isWanted('ceiling')) {
    starters.push(async (services) => [await startCeiling(services, concurrency)]);
  }
  if (isWanted('hand')) {
    starters.push(async (services) => [await startHandWritten(services, concurrency)]);
  }
  const paths = (['raw', 'sql', 'http'] as const).filter(isWanted);
  if (paths.length > 0) {
    starters.push(async (services) => {
      const ours = await startOurs(services, { concurrency });
      return paths.map((path) => ours[path]);
    });
  }
  return starters;
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
