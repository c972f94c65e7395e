import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startHandWritten } from '../contestants/hand-written.ts';
import { defaultConcurrency, startOurs } from '../contestants/ours.ts';
import { type BenchServices, startBenchServices } from '../support/bench-services.ts';
import type { Contestant } from '../support/contestant.ts';
import { percentile } from '../support/numbers.ts';
import { atLeastOne, delayRange } from '../support/race-options.ts';
import { checkRows, newReferences, now, pause, runRound, untilDone } from '../support/race.ts';

/**
 * Measures the time from the beginning of an enqueue until the gateway has the call, at half of the
 * rate that the same contestant reached in this run, for each path of the product and for
 * hand-written code. Jobs come at even times, whether or not earlier ones have ended.
 */
export async function latency(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      jobs: { type: 'string', default: '2000' },
      concurrency: { type: 'string', default: String(defaultConcurrency) },
      'gateway-ms': { type: 'string', default: '0' },
    },
  });
  const jobs = atLeastOne.parse(values.jobs);
  const concurrency = atLeastOne.parse(values.concurrency);
  const services = await startBenchServices({
    delayMs: delayRange.parse(values['gateway-ms']),
  });
  const contestants: Contestant[] = [];
  try {
    contestants.push(await startHandWritten(services, concurrency));
    const { raw, sql, http } = await startOurs(services, { concurrency });
    contestants.push(raw, sql, http);
    for (const contestant of contestants) await pause(services, contestant);
    const rows: Record<string, Waits> = {};
    for (const contestant of contestants) {
      rows[contestant.name] = await measureWaits(services, contestant, jobs);
    }
    console.log(`${jobs} jobs each, ${concurrency} at once`);
    console.table(rows);
    return { jobs, concurrency, gatewayMs: values['gateway-ms'], waits: rows };
  } finally {
    for (const contestant of contestants) await contestant.close();
    await services.close();
  }
}

/** Milliseconds from the enqueue to the call, at a rate of jobs. */
interface Waits {
  readonly 'jobs/s': number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

async function measureWaits(
  services: BenchServices,
  contestant: Contestant,
  jobs: number,
): Promise<Waits> {
  const { jobsPerSecond } = await runRound(services, contestant, jobs);
  const rate = jobsPerSecond / 2;
  const references = newReferences(services, jobs);
  const { answered } = await services.gateway.expect(jobs);
  for (const worker of contestant.workers) worker.resume();
  const enqueuedAtMs = await enqueueEvenly(contestant, references.all, rate);
  await untilDone(contestant, jobs, answered);
  await pause(services, contestant);
  await checkRows(contestant, references);
  const creations = await services.gateway.report();
  const waits = creations.map(
    ({ reference, calledAtMs }) => calledAtMs - (enqueuedAtMs.get(reference) ?? Number.NaN),
  );
  const at = (share: number): number => Number(percentile(waits, share).toFixed(1));
  return { 'jobs/s': Math.round(rate), p50: at(0.5), p99: at(0.99), longest: at(1) };
}

/** Begins an enqueue whenever its time has come; resolves to the time of each. */
async function enqueueEvenly(
  { enqueue }: Contestant,
  references: readonly string[],
  rate: number,
): Promise<ReadonlyMap<string, number>> {
  const startedAtMs = now();
  const enqueuedAtMs = new Map<string, number>();
  const running: Promise<void>[] = [];
  for (const [index, reference] of references.entries()) {
    const dueAtMs = startedAtMs + (index / rate) * 1_000;
    while (now() < dueAtMs) await setTimeout(1);
    enqueuedAtMs.set(reference, now());
    running.push(enqueue([reference]));
  }
  await Promise.all(running);
  return enqueuedAtMs;
}
