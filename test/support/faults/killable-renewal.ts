import { fork } from 'node:child_process';
import { once } from 'node:events';
import { nodeEnv } from '../services/programs.ts';

/** What happens to the gateway, or beside the path, while a renewal runs. */
export interface RenewalOrder {
  readonly credential: string;
  /** The point at which it stands still; absent: it runs to its end. */
  readonly standAt?: number;
  /** A gateway in place of the healthy one. */
  readonly openApiUrl?: string;
  /**
   * While its call is under way, another worker takes the lease over, and renews the token or fails
   * to.
   */
  readonly overtaker?: 'renews' | 'fails';
}

/** The result of an order: it stands at its point, or it ended. */
export interface RenewalReport {
  readonly credential: string;
  readonly result: string;
  /** Every statement and every call, in order. */
  readonly operations: readonly string[];
}

/** The result of a renewal that stands at its point. */
export const standing = 'standing';

/** A process that renews access tokens and stands still where it is told to. */
export interface KillableRenewals {
  /** Starts all renewals at once; resolves when each has ended or stands at its point. */
  readonly renew: (orders: readonly RenewalOrder[]) => Promise<readonly RenewalReport[]>;
  /** Sends SIGKILL. */
  readonly kill: () => Promise<void>;
}

/** Starts the process; one start serves any number of points. */
export async function startKillableRenewals(
  env: Readonly<Record<string, string>>,
): Promise<KillableRenewals> {
  const child = fork(new URL('killable-renewal-process.ts', import.meta.url), [], {
    execArgv: [],
    env: { ...nodeEnv, ...env },
  });
  const exited = once(child, 'exit');
  await once(child, 'message');
  return {
    async renew(orders) {
      const reports: RenewalReport[] = [];
      const all = new Promise<readonly RenewalReport[]>((resolve, reject) => {
        child.on('message', (report: RenewalReport) => {
          reports.push(report);
          if (reports.length === orders.length) resolve(reports);
        });
        void exited.then(([code]) => reject(new Error(`the process ended by itself: ${code}`)));
      });
      child.send(orders);
      const done = await all;
      child.removeAllListeners('message');
      return done;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
