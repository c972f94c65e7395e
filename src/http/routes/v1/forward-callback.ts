import { keptCallback, rawCallbackBody } from '../../../domain/payload/api-shapes.ts';
import type { Channel } from '../../../domain/callback.ts';
import { acceptCallback } from '../../../callback/accept.ts';
import { inboundMessageOf } from '../../../callback/raw.ts';
import { apiRoute } from '../../api/api-route.ts';

/** `POST /v1/callbacks/redirect`: forwards a redirect that a customer's browser brought. */
export const forwardRedirect = forwardRoute('redirect', 'forwardRedirect');

/** `POST /v1/callbacks/notify`: forwards a push of the gateway's server. */
export const forwardNotify = forwardRoute('notify', 'forwardNotify');

/** Stores the message unchanged; the job that judges messages of the public listener judges it. */
function forwardRoute(channel: Channel, operationId: string) {
  return apiRoute({
    operationId,
    method: 'POST',
    path: `/callbacks/${channel}`,
    scope: 'enqueue',
    tag: 'callbacks',
    summary: `Forward a ${channel} message that the backend received itself`,
    description: 'Send the body exactly as received: the signature check needs its exact bytes.',
    body: rawCallbackBody,
    status: 202,
    answer: keptCallback,
    problems: [],
    async handle({ body, audit }, dependencies) {
      const { id, isDuplicate } = await acceptCallback(
        dependencies,
        inboundMessageOf(channel, body),
        {
          audit,
        },
      );
      return { id, isDuplicate };
    },
  });
}
