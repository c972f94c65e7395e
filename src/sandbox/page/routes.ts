import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Creation } from '../creation/creation.ts';
import { decide } from './customer-decision.ts';
import { authorisationPage, messagePage, pageHeaders, redirectPage } from './templates.ts';
import { secureCodeOf } from '../push/plan.ts';
import { type FieldPair, resultFields, signFields, trueClaim } from '../creation/result-fields.ts';
import type { SandboxContext } from '../sandbox-context.ts';

const pageQuerySchema = z.object({ opRefId: z.string() });
const decisionSchema = z.object({
  opRefId: z.string(),
  decision: z.enum(['approve', 'decline', 'abandon']),
});

/** The hosted authorisation page and the form behind its buttons. */
export function registerHostedPageRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.get('/bank/quickPay/create', (request, reply) => {
    const query = pageQuerySchema.safeParse(request.query);
    const creation = query.success ? findOnPage(context, query.data.opRefId) : undefined;
    if (creation === undefined) return sendUnknown(request, reply);
    return reply.headers(pageHeaders).send(authorisationPage(creation));
  });

  server.post('/bank/quickPay/decide', (request, reply) => {
    const body = decisionSchema.safeParse(request.body);
    if (!body.success) {
      const text = 'Send opRefId and decision: approve, decline or abandon.';
      return sendMessage(request, reply.code(400), 'Unclear decision', text);
    }
    const creation = findOnPage(context, body.data.opRefId);
    if (creation === undefined) return sendUnknown(request, reply);
    decide(context, creation, body.data.decision);
    return sendOutcome(context, request, reply, creation);
  });
}

function findOnPage(context: SandboxContext, opRefId: string): Creation | undefined {
  const creation = context.creations.findByOrderReference(opRefId);
  return creation?.status === 'refused' ? undefined : creation;
}

/** Sends the browser back with the result; who left gets no redirect, since a closed window makes none. */
function sendOutcome(
  context: SandboxContext,
  request: FastifyRequest,
  reply: FastifyReply,
  creation: Creation,
): FastifyReply {
  const hasLeft = creation.status === 'abandoned';
  const fields = hasLeft ? [] : signedResult(context, creation);
  if (wantsJson(request)) {
    const redirectUrl = hasLeft ? null : creation.redirectUrl;
    return reply.header('cache-control', 'no-store').send({ redirectUrl, fields });
  }
  const html = hasLeft
    ? messagePage('You left', 'Nothing was decided. You may close this window.')
    : redirectPage(creation.redirectUrl, fields);
  return reply.headers(pageHeaders).send(html);
}

function signedResult(context: SandboxContext, creation: Creation): FieldPair[] {
  const fields = resultFields(creation, trueClaim(creation));
  return signFields(fields, context.faults.redirectSignature, secureCodeOf(context, creation));
}

function sendUnknown(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const text = 'There is no authorisation under this opRefId.';
  return sendMessage(request, reply.code(404), 'Not found', text);
}

function sendMessage(
  request: FastifyRequest,
  reply: FastifyReply,
  title: string,
  text: string,
): FastifyReply {
  if (wantsJson(request)) return reply.send({ error: text });
  return reply.headers(pageHeaders).send(messagePage(title, text));
}

function wantsJson(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').includes('application/json');
}
