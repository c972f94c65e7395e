import type { Config } from './config/config.ts';

/** Three quarters of them may be at one host: one that hangs leaves the others the rest. */
const shareOfOneHost = 0.75;
/** Scan intervals for which a process keeps jobs that found no turn; the scan brings the others again. */
const intervalsInLine = 2;

/** How many access-token jobs may be at the gateway's hosts; one is kept free for the scan, where there is more than one. */
export function oauthLimits({ queue, jobs }: Pick<Config, 'queue' | 'jobs'>) {
  const atOnceInAllMax = Math.max(1, queue.concurrency['access-token'] - 1);
  return {
    atOnceMax: Math.max(1, Math.floor(atOnceInAllMax * shareOfOneHost)),
    atOnceInAllMax,
    lineMsMax: intervalsInLine * jobs.scanIntervalMs,
  };
}
