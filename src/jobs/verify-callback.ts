import { z } from 'zod';
import { callbackIdPayload, rawCallbackPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob } from '../execution/define-job.ts';
import { judgeCallback, judgingEvents } from '../callback/judge.ts';
import { storedCallbackId } from '../callback/raw.ts';

/**
 * `callback.verify` judges a redirect, which the customer's browser delivers. It only makes the
 * worker query: the token becomes active once the gateway confirms it.
 */
export const verifyCallback = defineJob({
  name: 'callback.verify',
  queue: 'callback-verification',
  payload: z.union([callbackIdPayload, rawCallbackPayload]),
  retry: exponential({ attemptsMax: 10, baseMs: 500, capMs: 60_000 }),
  timeoutMs: 18_000,
  emits: judgingEvents,
  run: async (payload, context) =>
    await judgeCallback(await storedCallbackId(payload, 'redirect', context), context),
});
