import type { z } from 'zod';
import type { Channel } from '../domain/callback.ts';
import type { rawCallbackPayload } from '../domain/job-payloads.ts';
import type { InboundMessage } from './accept.ts';

/** A message that a backend received itself, as the inbox takes it. */
export function inboundOf(
  channel: Channel,
  { contentType, body, receivedAt, sourceIp }: z.output<typeof rawCallbackPayload>,
): InboundMessage {
  return {
    channel,
    contentType,
    body: Buffer.from(body, 'utf8'),
    sourceIp,
    ...(receivedAt === undefined ? {} : { receivedAt: new Date(receivedAt) }),
  };
}
