import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Creation } from '../creation/creation.ts';
import {
  type FieldPair,
  actualResult,
  resultFields,
  signFields,
} from '../creation/result-fields.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { recordDecision } from './customer-decision.ts';
import { authorisationPage, messagePage, pageHeaders, redirectPage } from './templates.ts';

const pageQuerySchema = z.object({ opRefId: z.string() });
const decisionSchema = z.object({
  opRefId: z.string(),
  decision: z.enum(['approve', 'decline', 'abandon']),
});

/** The hosted authorisation page and the form behind its buttons. */
export function registerPageRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.get('/bank/quickPay/create', (request, reply) => {
    const query = pageQuerySchema.safeParse(request.query);
    const creation = query.success ? findPageCreation(context, query.data.opRefId) : undefined;
    if (creation === undefined) return sendNotFound(request, reply);
    return reply.headers(pageHeaders).send(authorisationPage(creation));
  });

  server.post('/bank/quickPay/decide', (request, reply) => {
    const body = decisionSchema.safeParse(request.body);
    if (!body.success) {
      const text = 'Send opRefId and decision: approve, decline or abandon.';
      return sendMessage(request, reply.code(400), 'Invalid decision', text);
    }
    const creation = findPageCreation(context, body.data.opRefId);
    if (creation === undefined) return sendNotFound(request, reply);
    recordDecision(context, creation, body.data.decision);
    return sendDecided(context, request, reply, creation);
  });
}

/** A refused creation has no page. */
function findPageCreation(context: SandboxContext, opRefId: string): Creation | undefined {
  const creation = context.creations.findByOrderReference(opRefId);
  return creation?.status === 'refused' ? undefined : creation;
}

/** Redirects the browser to the merchant with the result, unless the customer left the page. */
function sendDecided(
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
  const fields = resultFields(creation, actualResult(creation), context.faults);
  const secureCode = context.secureCodes.get(creation);
  return signFields(fields, context.faults.redirectSignature, secureCode);
}

function sendNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const text = 'There is no authorisation with this opRefId.';
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
