import { refusal } from '../answer-codes.ts';
import { type AccountTerminal, type Creation, isUndecided } from '../creation/creation.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { type QuickpayStatus, queryAnswer, tokenNode } from './answers.ts';
import { findQueryKey } from './request.ts';

/**
 * `POST /pg/quickPay/query` of an authenticated account. A creation that is not visible yet is
 * answered like an unknown one.
 */
export function queryQuickpay(
  context: SandboxContext,
  account: AccountTerminal,
  body: unknown,
): object {
  const key = findQueryKey(body);
  if (key === undefined) return refusal('param');
  const visible = context.creations
    .listByKey(account, key)
    .filter((creation) => isVisible(context, creation))
    .filter((creation) => key.by !== 'quickpay' || visibleStatus(context, creation) !== '-1');
  const latest = visible.at(-1);
  if (latest === undefined) {
    return context.faults.notFoundAnswer === 'code' ? refusal('not-found') : queryAnswer({});
  }
  const node = (creation: Creation): object =>
    tokenNode(creation, visibleStatus(context, creation), context.faults);
  return key.by === 'customer' && context.faults.customerQuery === 'array'
    ? queryAnswer(visible.map(node))
    : queryAnswer(node(latest));
}

function isVisible(context: SandboxContext, creation: Creation): boolean {
  if (creation.status === 'refused') return false;
  const { queryVisibilityDelayMs, pendingVisible } = context.faults;
  if (Date.now() < creation.createdAtMs + queryVisibilityDelayMs) return false;
  return pendingVisible || visibleStatus(context, creation) !== '-1';
}

/** The status in queries, which lags behind the decision under `queryVisibilityDelayMs`. */
function visibleStatus(context: SandboxContext, creation: Creation): QuickpayStatus {
  if (isUndecided(creation)) return '-1';
  const decidedAtMs = creation.decidedAtMs ?? 0;
  if (Date.now() < decidedAtMs + context.faults.queryVisibilityDelayMs) return '-1';
  if (creation.status === 'disabled') return context.faults.queryStatusAfterCancel;
  return creation.status === 'approved' ? '1' : '0';
}
