import { refusal } from '../answer-codes.ts';
import { type QuickpayStatus, queryAnswer, tokenNode } from './answers.ts';
import { findCancelKey, findQueryKey } from './request.ts';
import { type Creation, isToken, isUndecided } from '../creation/creation.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { AccountTerminal } from '../creation/secure-codes.ts';

/** `POST /pg/quickPay/query` for a known account. What is unknown or not visible yet is `40004` with an empty `data`. */
export function queryQuickpay(
  context: SandboxContext,
  { account, terminal }: AccountTerminal,
  body: unknown,
): object {
  const key = findQueryKey(body);
  if (key === undefined) return refusal('param');
  const visible = context.creations
    .listBy(account, terminal, key)
    .filter((creation) => isVisible(context, creation))
    .filter((creation) => key.by !== 'quickpay' || shownStatus(context, creation) !== '-1');
  const latest = visible.at(-1);
  if (latest === undefined) return refusal('not-found');
  const node = (creation: Creation): object =>
    tokenNode(creation, shownStatus(context, creation), context.faults);
  return key.by === 'customer' && context.faults.customerQuery === 'array'
    ? queryAnswer(visible.map(node))
    : queryAnswer(node(latest));
}

/** `POST /pg/quickPay/cancel` for a known account. Cancelling twice is the same as once. */
export function cancelQuickpay(
  context: SandboxContext,
  { account, terminal }: AccountTerminal,
  body: unknown,
): object {
  const key = findCancelKey(body);
  if (key === undefined) return refusal('param');
  const token = context.creations.listBy(account, terminal, key).find(isToken);
  if (token === undefined) return refusal('not-found');
  token.status = 'disabled';
  return queryAnswer(tokenNode(token, context.faults.cancelStatus, context.faults));
}

function isVisible(context: SandboxContext, creation: Creation): boolean {
  if (creation.status === 'refused') return false;
  const { queryVisibilityDelayMs, pendingVisible } = context.faults;
  if (Date.now() < creation.createdAtMs + queryVisibilityDelayMs) return false;
  return pendingVisible || shownStatus(context, creation) !== '-1';
}

function shownStatus(context: SandboxContext, creation: Creation): QuickpayStatus {
  if (isUndecided(creation)) return '-1';
  const decidedAtMs = creation.decidedAtMs ?? 0;
  if (Date.now() < decidedAtMs + context.faults.queryVisibilityDelayMs) return '-1';
  if (creation.status === 'disabled') return context.faults.queryStatusAfterCancel;
  return creation.status === 'approved' ? '1' : '0';
}
