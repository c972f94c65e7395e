import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isGivenReference } from '../../domain/given-reference.ts';
import { answerCodes, refusal } from '../answer-codes.ts';
import type { AccountTerminal } from '../creation/creation.ts';
import { parseScenario } from '../creation/scenario.ts';
import type { CreationKey } from '../creation/store.ts';
import { answerGatewayCall } from '../faults/gateway-call.ts';
import type { NetworkFault } from '../faults/network-fault.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { cancelQuickpay } from './cancel-call.ts';
import { createQuickpay } from './create-call.ts';
import { queryQuickpay } from './query-call.ts';
import { findCancelKey, findCreateReference, findQueryKey, findRemark } from './request.ts';

/** The JSON "checkout" API: QuickPay create, query and cancel, and the account check. */
export function registerCheckoutRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.post('/pg/quickPay/create', (request, reply) =>
    answerGatewayCall(context, reply, {
      endpoint: 'create',
      key: findCreateReference(request.body) ?? 'invalid',
      effect: () =>
        authenticate(context, request, (account) => createQuickpay(context, account, request.body)),
      findScenarioFault: (attempt) => findLostReply(request.body, attempt),
    }),
  );
  server.post('/pg/quickPay/query', (request, reply) =>
    answerGatewayCall(context, reply, {
      endpoint: 'query',
      key: merchantReferenceOf(context, request, findQueryKey(request.body)),
      effect: () =>
        authenticate(context, request, (account) => queryQuickpay(context, account, request.body)),
    }),
  );
  server.post('/pg/quickPay/cancel', (request, reply) =>
    answerGatewayCall(context, reply, {
      endpoint: 'cancel',
      key: merchantReferenceOf(context, request, findCancelKey(request.body)),
      effect: () =>
        authenticate(context, request, (account) => cancelQuickpay(context, account, request.body)),
    }),
  );
  server.post('/pinc/check-account', (request, reply) =>
    answerGatewayCall(context, reply, {
      endpoint: 'check-account',
      key: header(request, 'account'),
      effect: () => authenticate(context, request, () => ({ ...answerCodes.success, data: {} })),
    }),
  );
}

/** Runs the call for the account in the headers. Refuses it when the secure code is wrong. */
function authenticate(
  context: SandboxContext,
  request: FastifyRequest,
  call: (account: AccountTerminal) => object,
): object {
  const account = accountOf(request);
  const isAuthentic = context.secureCodes.isValid(account, header(request, 'securecode'));
  return isAuthentic ? call(account) : refusal('credentials');
}

/**
 * Finds the merchant reference by the key of a query or cancel, so that all calls about one
 * creation share their fault draws. An unknown key stands for itself.
 */
function merchantReferenceOf(
  context: SandboxContext,
  request: FastifyRequest,
  key: CreationKey | undefined,
): string {
  if (key === undefined) return 'invalid';
  const [creation] = context.creations.listByKey(accountOf(request), key);
  return creation?.merchantReferenceId ?? key.value;
}

function findLostReply(body: unknown, attempt: number): NetworkFault | undefined {
  const scenario = parseScenario(findRemark(body), '');
  // The worker sends a lost request again under a reference that it derives from the merchant's.
  const isFirst = attempt === 1 && !isGivenReference(findCreateReference(body) ?? '');
  const isLost = scenario?.modifiers.has('lost-reply') === true && isFirst;
  return isLost ? { kind: 'reset', isAfterEffect: true } : undefined;
}

function accountOf(request: FastifyRequest): AccountTerminal {
  return { account: header(request, 'account'), terminal: header(request, 'terminal') };
}

function header(request: FastifyRequest, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}
