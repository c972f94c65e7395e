import type { z } from 'zod';
import type { Channel } from '../domain/callback.ts';
import type { callbackIdPayload, rawCallbackPayload } from '../domain/job-payloads.ts';
import { acceptCallback } from './accept.ts';
import type { JudgingContext } from './judge.ts';
import { inboundOf } from './raw.ts';

/**
 * The inbox row that a job is about. A message that a backend received itself and put into the queue is committed to the
 * inbox first, and then leaves the queue.
 */
export async function callbackIdOf(
  payload: z.output<typeof callbackIdPayload> | z.output<typeof rawCallbackPayload>,
  channel: Channel,
  context: JudgingContext,
): Promise<string> {
  if ('callbackId' in payload) return payload.callbackId;
  const { id } = await acceptCallback(context, inboundOf(channel, payload), {
    audit: {
      actor: { type: 'backend', id: 'queue' },
      queue: context.job.queue,
      jobId: context.job.id,
      attempt: context.job.attempt,
    },
    isContinuedByCaller: true,
  });
  await context.replacePayload({ v: 1, callbackId: id });
  return id;
}
