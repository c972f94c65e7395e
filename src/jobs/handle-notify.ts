import { z } from 'zod';
import { callbackIdPayload, rawCallbackPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob } from '../execution/define-job.ts';
import { judgeCallback, judgingEvents } from '../callback/judge.ts';
import { storedCallbackId } from '../callback/raw.ts';

/**
 * `notify.handle` judges a push of the gateway's server. The push was acknowledged when it was
 * committed, so a fault here uses up none of the gateway's five attempts: the job retries by its
 * own policy.
 */
export const handleNotify = defineJob({
  name: 'notify.handle',
  queue: 'notify',
  payload: z.union([callbackIdPayload, rawCallbackPayload]),
  retry: exponential({ attemptsMax: 10, baseMs: 500, capMs: 60_000 }),
  timeoutMs: 18_000,
  emits: judgingEvents,
  run: async (payload, context) =>
    await judgeCallback(await storedCallbackId(payload, 'notify', context), context),
});
