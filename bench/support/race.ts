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
  for (const contestant of contestants) await pause(services, contestant);
  for (let round = 0; round <= rounds; round += 1) {
    for (const contestant of contestants) {
      const run = await runRound(services, contestant, jobs);
      if (round > 0) result.get(contestant.name)?.push(run);
    }
  }
  return result;
}

/** A warm-up and one measured run. */
export async function runRound(
  services: BenchServices,
  contestant: Contestant,
  jobs: number,
): Promise<Run> {
  const warmUpJobs = Math.max(warmUpJobsMin, Math.round(jobs * warmUpShare));
  await runOnce(services, contestant, newReferences(services, warmUpJobs));
  return await runOnce(services, contestant, newReferences(services, jobs));
}

/** Merchant references of one run. */
export interface References {
  readonly prefix: string;
  readonly all: readonly string[];
}

let runs = 0;

/** References that no earlier run used. */
export function newReferences({ prefix: shared }: BenchServices, count: number): References {
  runs += 1;
  const prefix = `${shared}-${runs}-`;
  return { prefix, all: Array.from({ length: count }, (_, n) => `${prefix}${n}`) };
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
  await pause(services, contestant);
  const creations = await gateway.report();
  const startedAtMs = isPolling ? (creations[0]?.calledAtMs ?? resumedAtMs) : resumedAtMs;
  if (creations.length !== references.all.length) {
    throw new Error(
      `${contestant.name}: ${creations.length} calls of ${references.all.length} jobs`,
    );
  }
  await checkRows(contestant, references);
  return {
    jobsPerSecond: (references.all.length / (endedAtMs - startedAtMs)) * 1_000,
    usage,
    redisKeys: redisPrefix === undefined ? 0 : await countKeys(redis.client, redisPrefix),
  };
}

const pauseAttemptsMax = 200;

/**
 * Stops the workers between two statements: in a transaction, a stopped worker would keep its locks
 * and its snapshot during the rounds of the others.
 */
export async function pause(
  { client }: BenchServices,
  { workers }: Pick<Contestant, 'workers'>,
): Promise<void> {
  for (let attempt = 0; attempt < pauseAttemptsMax; attempt += 1) {
    for (const worker of workers) worker.pause();
    await setTimeout(5);
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database() and state <> 'idle'
       and backend_type = 'client backend' and pid <> pg_backend_pid() limit 1`,
    );
    if (rows.length === 0) return;
    for (const worker of workers) worker.resume();
    await setTimeout(5);
  }
  throw new Error('a worker never rests');
}

/** The time in milliseconds since the epoch, finer than the system clock gives it. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Far slower than any contestant, so that a lost job ends in a message. */
const msPerJobMax = 50;
const deadlineMinMs = 30_000;

/** Waits for the last answer of the gateway, and then until the queue is empty. */
export async function untilDone(
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

/** Throws unless each reference has its final row and its audit rows. */
export async function checkRows(
  { name, countRows }: Contestant,
  { prefix, all }: References,
): Promise<void> {
  if (countRows === undefined) return;
  const { final, audit } = await countRows(prefix);
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
