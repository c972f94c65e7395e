import { parseArgs } from 'node:util';
import { defaultConcurrency, startOurs } from '../contestants/ours.ts';
import { startBenchServices } from '../support/bench-services.ts';
import type { Contestant } from '../support/contestant.ts';
import { atLeastOne, delayRange } from '../support/race-options.ts';
import { medianRatio, printStandings, standingsOf } from '../support/race-report.ts';
import { race } from '../support/race.ts';

/** Compares one worker process with two, by raw BullMQ and by SQL, on the same services. */
export async function scaling(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      jobs: { type: 'string', default: '2000' },
      rounds: { type: 'string', default: '3' },
      concurrency: { type: 'string', default: String(defaultConcurrency) },
      'gateway-ms': { type: 'string', default: '0' },
    },
  });
  const options = { jobs: atLeastOne.parse(values.jobs), rounds: atLeastOne.parse(values.rounds) };
  const concurrency = atLeastOne.parse(values.concurrency);
  const services = await startBenchServices({
    delayMs: delayRange.parse(values['gateway-ms']),
  });
  const contestants: Contestant[] = [];
  try {
    const one = await startOurs(services, { concurrency });
    contestants.push(one.raw, one.sql);
    const two = await startOurs(services, { concurrency, processes: 2 });
    contestants.push(two.raw, two.sql);
    const result = await race(services, contestants, options);
    printStandings(result, options.jobs, {
      'of one, raw': one.raw.name,
      'of one, SQL': one.sql.name,
    });
    return {
      ...options,
      concurrency,
      gatewayMs: values['gateway-ms'],
      rawRatio: medianRatio(result, two.raw.name, one.raw.name),
      sqlRatio: medianRatio(result, two.sql.name, one.sql.name),
      standings: Object.fromEntries(standingsOf(result, options.jobs)),
    };
  } finally {
    for (const contestant of contestants) await contestant.close();
    await services.close();
  }
}
