import { median, round } from './numbers.ts';
import type { RaceResult, Run } from './race.ts';

/** One contestant's numbers: medians over the rounds, per job. */
export interface Standing {
  readonly jobsPerSecond: number;
  readonly slowest: number;
  readonly fastest: number;
  readonly workerMs: number;
  readonly postgresMs: number;
  readonly redisMs: number;
  readonly walBytes: number;
  readonly redisKeys: number;
}

/** The standing of each contestant. */
export function standingsOf(result: RaceResult, jobs: number): ReadonlyMap<string, Standing> {
  return new Map(
    [...result].map(([name, runs]) => {
      const rates = runs.map(({ jobsPerSecond }) => jobsPerSecond);
      const perJob = (read: (run: Run) => number): number => median(runs.map(read)) / jobs;
      return [
        name,
        {
          jobsPerSecond: Math.round(median(rates)),
          slowest: Math.round(Math.min(...rates)),
          fastest: Math.round(Math.max(...rates)),
          workerMs: round(perJob(({ usage }) => usage.workerMs)),
          postgresMs: round(perJob(({ usage }) => usage.postgresMs)),
          redisMs: round(perJob(({ usage }) => usage.redisMs)),
          walBytes: Math.round(perJob(({ usage }) => usage.walBytes)),
          redisKeys: runs.at(-1)?.redisKeys ?? 0,
        },
      ];
    }),
  );
}

/** The ratio of two contestants, round by round: the median. */
export function medianRatio(result: RaceResult, of: string, to: string): number {
  const others = result.get(to) ?? [];
  const ratios = (result.get(of) ?? []).map(
    ({ jobsPerSecond }, index) => jobsPerSecond / (others[index]?.jobsPerSecond ?? Number.NaN),
  );
  return round(median(ratios));
}

/** Prints a row per contestant, with its rate as a share of each of the `references`. */
export function printStandings(
  result: RaceResult,
  jobs: number,
  references: Readonly<Record<string, string>>,
): void {
  const rows = [...standingsOf(result, jobs)].map(([name, standing]) => [
    name,
    {
      'jobs/s': standing.jobsPerSecond,
      'min-max': `${standing.slowest}-${standing.fastest}`,
      ...Object.fromEntries(
        Object.entries(references).map(([title, reference]) => [
          title,
          medianRatio(result, name, reference),
        ]),
      ),
      'worker ms': standing.workerMs,
      'postgres ms': standing.postgresMs,
      'redis ms': standing.redisMs,
      'WAL bytes': standing.walBytes,
      'redis keys': standing.redisKeys,
    },
  ]);
  console.table(Object.fromEntries(rows));
}
