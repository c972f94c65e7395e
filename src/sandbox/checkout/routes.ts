import type { FastifyInstance, FastifyRequest } from 'fastify';
import { answerCodes, refusal } from '../answer-codes.ts';
import { findCancelKey, findCreateReference, findQueryKey, findRemark } from './request.ts';
import { createQuickpay } from './create-call.ts';
import type { CreationKey } from '../creation/store.ts';
import { findDirective } from '../creation/scenario.ts';
import { exchange } from '../faults/gateway-call.ts';
import type { Strike } from '../faults/network-fault.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { AccountTerminal } from '../creation/secure-codes.ts';
import { cancelQuickpay, queryQuickpay } from './query-call.ts';

/** The JSON "checkout" API: QuickPay create, query and cancel, and the account check. */
export function registerCheckoutRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.post('/pg/quickPay/create', (request, reply) =>
    exchange(context, reply, {
      endpoint: 'create',
      key: findCreateReference(request.body) ?? 'invalid',
      effect: () =>
        asAccount(context, request, (account) => createQuickpay(context, account, request.body)),
      findStrikeOfItsOwn: (attempt) => findLostReply(request.body, attempt),
    }),
  );
  server.post('/pg/quickPay/query', (request, reply) =>
    exchange(context, reply, {
      endpoint: 'query',
      key: referenceOf(context, request, findQueryKey(request.body)),
      effect: () =>
        asAccount(context, request, (account) => queryQuickpay(context, account, request.body)),
    }),
  );
  server.post('/pg/quickPay/cancel', (request, reply) =>
    exchange(context, reply, {
      endpoint: 'cancel',
      key: referenceOf(context, request, findCancelKey(request.body)),
      effect: () =>
        asAccount(context, request, (account) => cancelQuickpay(context, account, request.body)),
    }),
  );
  server.post('/pinc/check-account', (request, reply) =>
    exchange(context, reply, {
      endpoint: 'check-account',
      key: header(request, 'account'),
      effect: () => asAccount(context, request, () => ({ ...answerCodes.success, data: {} })),
    }),
  );
}

/** Runs the call as the account in the headers, or refuses it when account, terminal and secure code do not fit. */
function asAccount(
  context: SandboxContext,
  request: FastifyRequest,
  call: (account: AccountTerminal) => object,
): object {
  const account = header(request, 'account');
  const terminal = header(request, 'terminal');
  const isKnown = context.secureCodes.isRight(account, terminal, header(request, 'securecode'));
  return isKnown ? call({ account, terminal }) : refusal('credentials');
}

/** The merchant reference behind a query's or cancel's key: it does not depend on ids that faults may have hidden. */
function referenceOf(
  context: SandboxContext,
  request: FastifyRequest,
  key: CreationKey | undefined,
): string {
  if (key === undefined) return 'invalid';
  const [found] = context.creations.listBy(
    header(request, 'account'),
    header(request, 'terminal'),
    key,
  );
  return found?.merchantReferenceId ?? key.value;
}

function findLostReply(body: unknown, attempt: number): Strike | undefined {
  const remark = findRemark(body);
  const isLost = findDirective(remark, '')?.modifiers.has('lost-reply') === true;
  return isLost && attempt === 1 ? { kind: 'reset', isAfterEffect: true } : undefined;
}

function header(request: FastifyRequest, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}
