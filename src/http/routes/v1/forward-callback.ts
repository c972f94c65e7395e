import { keptCallback, rawCallbackBody } from '../../../domain/api-shapes.ts';
import type { Channel } from '../../../domain/callback.ts';
import { acceptCallback } from '../../../callback/accept.ts';
import { inboundOf } from '../../../callback/raw.ts';
import { apiRoute } from '../../api/api-route.ts';

/** `POST /v1/callbacks/redirect`: what a customer's browser brought to the backend. */
export const forwardRedirect = forwardRoute('redirect', 'forwardRedirect');

/** `POST /v1/callbacks/notify`: what the gateway's server pushed to the backend. */
export const forwardNotify = forwardRoute('notify', 'forwardNotify');

/** The message is kept as it came, and judged by the same job as one that came to the public listener. */
function forwardRoute(channel: Channel, operationId: string) {
  return apiRoute({
    operationId,
    method: 'POST',
    path: `/callbacks/${channel}`,
    scope: 'enqueue',
    tag: 'callbacks',
    summary: `Hand over a ${channel} message that the backend received itself`,
    description: 'Send the body exactly as it came: its bytes are what a signature is checked on.',
    body: rawCallbackBody,
    status: 202,
    answer: keptCallback,
    problems: [],
    async handle({ body, audit }, dependencies) {
      const { id, isDuplicate } = await acceptCallback(dependencies, inboundOf(channel, body), {
        audit,
      });
      return { id, isDuplicate };
    },
  });
}
