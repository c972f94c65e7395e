import { setTimeout } from 'node:timers/promises';
import type { BenchServices } from './bench-services.ts';
import { auditRowsPerJob, type Contestant } from './contestant.ts';
import { type Usage, usedBetween } from './usage.ts';

/** One contestant's run over all jobs of one round. */
export interface Run {
  readonly jobsPerSecond: number;
  readonly usage: Usage;
  readonly redisKeys: number;
}

/** How long a race is. */
export interface RaceOptions {
  readonly jobs: number;
  readonly rounds: number;
}

/** The runs of each contestant by its name. */
export type RaceResult = ReadonlyMap<string, readonly Run[]>;

/** Jobs before each round, not measured: code gets warm, and idle connections are awake. */
const warmUpShare = 0.1;
const warmUpJobsMin = 100;

/**
 * Lets the contestants run one after the other, round by round. A signal stops the workers of the
 * others meanwhile, so that their polls cost nothing. The first round is not counted.
 */
export async function race(
  services: BenchServices,
  contestants: readonly Contestant[],
  { jobs, rounds }: RaceOptions,
): Promise<RaceResult> {
  const result = new Map<string, Run[]>(contestants.map(({ name }) => [name, []]));
  for (const contestant of contestants) pause(contestant);
  const warmUpJobs = Math.max(warmUpJobsMin, Math.round(jobs * warmUpShare));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, contestant] of contestants.entries()) {
      const prefix = `${services.prefix}-${index}-${round}`;
      await runOnce(services, contestant, referencesOf(`${prefix}-w`, warmUpJobs));
      const run = await runOnce(services, contestant, referencesOf(`${prefix}-m`, jobs));
      if (round > 0) result.get(contestant.name)?.push(run);
    }
  }
  return result;
}

interface References {
  readonly prefix: string;
  readonly all: readonly string[];
}

function referencesOf(prefix: string, count: number): References {
  return { prefix, all: Array.from({ length: count }, (_, n) => `${prefix}-${n}`) };
}

/** Runs all jobs to their final state and checks the rows that they left. */
async function runOnce(
  services: BenchServices,
  contestant: Contestant,
  references: References,
): Promise<Run> {
  const { gateway, redis, readUsage } = services;
  const { isEnqueuedLive = false, isPolling = false, workers, redisPrefix } = contestant;
  const pids = workers.map(({ pid }) => pid);
  const { answered } = await gateway.expect(references.all.length);
  if (!isEnqueuedLive) await contestant.enqueue(references.all);
  const before = await readUsage(pids);
  const resumedAtMs = now();
  for (const worker of workers) worker.resume();
  if (isEnqueuedLive) await contestant.enqueue(references.all);
  await untilDone(contestant, references.all.length, answered);
  const endedAtMs = now();
  const usage = usedBetween(before, await readUsage(pids));
  pause(contestant);
  const { calls, firstAtMs } = await gateway.report();
  const startedAtMs = isPolling ? firstAtMs : resumedAtMs;
  if (calls !== references.all.length) throw new Error(`${contestant.name}: ${calls} calls`);
  await checkRows(contestant, references);
  return {
    jobsPerSecond: (references.all.length / (endedAtMs - startedAtMs)) * 1_000,
    usage,
    redisKeys: redisPrefix === undefined ? 0 : await countKeys(redis.client, redisPrefix),
  };
}

function pause({ workers }: Contestant): void {
  for (const worker of workers) worker.pause();
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Far slower than any contestant, so that a lost job ends in a message. */
const msPerJobMax = 50;
const deadlineMinMs = 30_000;

/** Waits for the last answer of the gateway, and then until the queue is empty. */
async function untilDone(
  { name, isQueueEmpty }: Contestant,
  jobs: number,
  answered: Promise<unknown>,
): Promise<void> {
  const deadline = new AbortController();
  const isLate = setTimeout(Math.max(deadlineMinMs, jobs * msPerJobMax), 'late', {
    signal: deadline.signal,
  }).catch(() => undefined);
  const isDone = (async () => {
    await answered;
    while (!(await isQueueEmpty())) await setTimeout(2);
  })();
  const result = await Promise.race([isDone, isLate]);
  deadline.abort();
  if (result === 'late') throw new Error(`${name}: not all of ${jobs} jobs ended`);
}

async function checkRows(
  { name, countRows }: Contestant,
  { prefix, all }: References,
): Promise<void> {
  if (countRows === undefined) return;
  const { final, audit } = await countRows(`${prefix}-`);
  if (final === all.length && audit === all.length * auditRowsPerJob) return;
  throw new Error(`${name}: ${final} final and ${audit} audit rows of ${all.length} jobs`);
}

async function countKeys(redis: BenchServices['redis']['client'], prefix: string): Promise<number> {
  const keys = new Set<string>();
  for await (const batch of redis.scanStream({ match: `${prefix}*`, count: 1_000 })) {
    for (const key of batch as readonly string[]) keys.add(key);
  }
  return keys.size;
}
