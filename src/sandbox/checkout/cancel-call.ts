import { refusal } from '../answer-codes.ts';
import { type AccountTerminal, hasToken } from '../creation/creation.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { queryAnswer, tokenNode } from './answers.ts';
import { findCancelKey } from './request.ts';

/** `POST /pg/quickPay/cancel` of an authenticated account. It is idempotent. */
export function cancelQuickpay(
  context: SandboxContext,
  account: AccountTerminal,
  body: unknown,
): object {
  const key = findCancelKey(body);
  if (key === undefined) return refusal('param');
  const creation = context.creations.listByKey(account, key).find(hasToken);
  if (creation === undefined) return refusal('not-found');
  creation.status = 'disabled';
  return queryAnswer(tokenNode(creation, context.faults.cancelStatus, context.faults));
}
