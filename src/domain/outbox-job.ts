import { jobId } from './ids.ts';
import type { Channel } from './callback.ts';

/** A job of a change. It reaches its queue after the commit, by hand-over or by the outbox. */
export interface OutboxJob {
  readonly queue: string;
  readonly name: string;
  readonly jobId: string;
  /** Ids only, because PostgreSQL and Redis hold it in the clear. */
  readonly payload: Readonly<Record<string, unknown>>;
  readonly delayMs?: number;
  /**
   * Whether the scan of due work enqueues the job again if it is lost, because its row says when it
   * is due.
   */
  readonly isFoundByScan?: true;
}

/** The job that sends a webhook event; `version` is the delivery's. */
export function deliveryJob(deliveryId: string, version: number): OutboxJob {
  return {
    queue: 'delivery',
    name: 'delivery.send',
    jobId: jobId('deliver', deliveryId, version),
    payload: { v: 1, deliveryId },
    isFoundByScan: true,
  };
}

/** The job that judges a callback; `version` is the callback's. */
export function judgeJob(channel: Channel, callbackId: string, version: number): OutboxJob {
  const payload = { v: 1, callbackId };
  return channel === 'notify'
    ? {
        queue: 'notify',
        name: 'notify.handle',
        jobId: jobId('notify', callbackId, version),
        payload,
        isFoundByScan: true,
      }
    : {
        queue: 'callback-verification',
        name: 'callback.verify',
        jobId: jobId('callback', callbackId, version),
        payload,
        isFoundByScan: true,
      };
}

/** How long a request waits for its job before the scan enqueues it again, in milliseconds. */
export const requestGraceMs = 5_000;

/** The job that asks the gateway for a QuickPay ID; `version` is the tokenization's. */
export function requestJob(tokenizationId: string, version: number): OutboxJob {
  return {
    queue: 'tokenization',
    name: 'tokenization.request',
    jobId: jobId('request', tokenizationId, version),
    payload: { v: 1, tokenizationId },
    isFoundByScan: true,
  };
}

/**
 * The job that renews a credential's access token. With `generation`, it renews that generation
 * only. `id` and `version` are those of the row it is committed with: the token's or the
 * credential's.
 */
export function refreshJob(
  id: string,
  version: number,
  credential: string,
  generation?: number,
): OutboxJob {
  return {
    queue: 'access-token',
    name: 'access-token.refresh',
    jobId: jobId('refresh', id, version),
    payload: { v: 1, credential, ...(generation === undefined ? {} : { generation }) },
  };
}

/** The job that queries the gateway for the outcome; `version` is the tokenization's. */
export function confirmJob(tokenizationId: string, version: number): OutboxJob {
  return {
    queue: 'reconciliation',
    name: 'tokenization.confirm',
    jobId: jobId('confirm', tokenizationId, version),
    payload: { v: 1, tokenizationId },
    isFoundByScan: true,
  };
}

/** The job that cancels a token at the gateway; `version` is the tokenization's. */
export function disableJob(tokenizationId: string, version: number): OutboxJob {
  return {
    queue: 'tokenization',
    name: 'token.disable',
    jobId: jobId('disable', tokenizationId, version),
    payload: { v: 1, tokenizationId },
    isFoundByScan: true,
  };
}
