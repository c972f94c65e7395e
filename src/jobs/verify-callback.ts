import { z } from 'zod';
import { callbackIdPayload, rawCallbackPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob } from '../execution/define-job.ts';
import { judgeCallback, judgingEvents } from '../callback/judge.ts';
import { callbackIdOf } from '../callback/raw.ts';

/**
 * `callback.verify` judges what the customer's browser brought back. It is a wake-up: the token becomes active only
 * when the gateway confirms it to us.
 */
export const verifyCallback = defineJob({
  name: 'callback.verify',
  queue: 'callback-verification',
  payload: z.union([callbackIdPayload, rawCallbackPayload]),
  retry: exponential({ attemptsMax: 10, baseMs: 500, capMs: 60_000 }),
  timeoutMs: 18_000,
  emits: judgingEvents,
  run: async (payload, context) =>
    await judgeCallback(await callbackIdOf(payload, 'redirect', context), context),
});
