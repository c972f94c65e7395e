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

/** Every job of the worker. A job that is not listed here does not exist. */
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

/** The job of this name, if there is one. */
export function findJob(name: string): AnyJob | undefined {
  return jobs.find((job) => job.name === name);
}

/** A repeating job: the name it is scheduled under and how often. Times in milliseconds. */
export interface RepeatingJob {
  readonly job: AnyJob;
  readonly everyMs: number;
}

const partitionsEveryMs = 6 * 60 * 60_000;
const retentionEveryMs = 60 * 60_000;

/** What repeats, with the interval of the scans. */
export function repeatingJobs(scanIntervalMs: number): readonly RepeatingJob[] {
  return [
    { job: scanDueWork, everyMs: scanIntervalMs },
    { job: scanAccessTokens, everyMs: scanIntervalMs },
    { job: managePartitions, everyMs: partitionsEveryMs },
    { job: expireCallbacks, everyMs: retentionEveryMs },
  ];
}
