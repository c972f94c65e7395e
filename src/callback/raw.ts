import type { z } from 'zod';
import type { Channel } from '../domain/callback.ts';
import type { rawCallbackPayload, callbackIdPayload } from '../domain/payload/job-payloads.ts';
import { type InboundMessage, acceptCallback } from './accept.ts';
import { backendJobAudit } from '../execution/backend-audit.ts';
import type { JudgingContext } from './judge.ts';

/** The inbound message in a raw payload: one that a backend received itself and passed on. */
export function inboundMessageOf(
  channel: Channel,
  { contentType, body, receivedAt, sourceIp }: z.output<typeof rawCallbackPayload>,
): InboundMessage {
  return {
    channel,
    // The backend has decoded the body, whatever charset its sender declared.
    contentType: asUtf8(contentType),
    body: Buffer.from(body, 'utf8'),
    sourceIp,
    ...(receivedAt === undefined ? {} : { receivedAt: new Date(receivedAt) }),
  };
}

function asUtf8(contentType: string | undefined): string {
  const type = (contentType ?? 'application/octet-stream').replace(/;\s*charset\s*=[^;]*/i, '');
  return `${type}; charset=utf-8`;
}

/**
 * The id of the inbox row that a job is about. A raw payload is committed to the inbox first; then
 * its id replaces it on the queue, which must not hold the message.
 */
export async function storedCallbackId(
  payload: z.output<typeof callbackIdPayload> | z.output<typeof rawCallbackPayload>,
  channel: Channel,
  context: JudgingContext,
): Promise<string> {
  if ('callbackId' in payload) return payload.callbackId;
  const { id } = await acceptCallback(context, inboundMessageOf(channel, payload), {
    audit: backendJobAudit(context.job),
    isContinuedByCaller: true,
  });
  await context.replacePayload({ v: 1, callbackId: id });
  return id;
}
