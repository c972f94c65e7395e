import type { AnyJob } from '../execution/define-job.ts';
import { disableTokenJob } from './disable-token.ts';
import { expireCallbacks } from './expire-callbacks.ts';
import { handleNotify } from './handle-notify.ts';
import { confirmTokenization } from './confirm-tokenization.ts';
import { managePartitions } from './manage-partitions.ts';
import { refreshAccessToken } from './refresh-access-token.ts';
import { requestTokenization } from './request-tokenization.ts';
import { scanAccessTokens } from './scan-access-tokens.ts';
import { scanDueWork } from './scan-due-work.ts';
import { sendDelivery } from './send-delivery.ts';
import { verifyCallback } from './verify-callback.ts';

/** Every job of the worker. */
export const jobs: readonly AnyJob[] = [
  requestTokenization,
  disableTokenJob,
  confirmTokenization,
  verifyCallback,
  handleNotify,
  refreshAccessToken,
  scanAccessTokens,
  scanDueWork,
  sendDelivery,
  managePartitions,
  expireCallbacks,
];

/** Finds a job by its name. */
export function findJob(name: string): AnyJob | undefined {
  return jobs.find((job) => job.name === name);
}

/** A job that a scheduler starts, and its interval in milliseconds. */
export interface RepeatingJob {
  readonly job: AnyJob;
  readonly everyMs: number;
}

const partitionsEveryMs = 6 * 60 * 60_000;
const retentionEveryMs = 60 * 60_000;

/** The repeating jobs. `scanIntervalMs` is the interval of the scans. */
export function repeatingJobs(scanIntervalMs: number): readonly RepeatingJob[] {
  return [
    { job: scanDueWork, everyMs: scanIntervalMs },
    { job: scanAccessTokens, everyMs: scanIntervalMs },
    { job: managePartitions, everyMs: partitionsEveryMs },
    { job: expireCallbacks, everyMs: retentionEveryMs },
  ];
}
