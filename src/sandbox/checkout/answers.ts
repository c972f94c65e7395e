import { answerCodes } from '../answer-codes.ts';
import { type Creation, hasToken } from '../creation/creation.ts';
import type { FaultSwitches } from '../fault-switches.ts';

/** Token status of the gateway: 1 is usable, 0 failed or disabled, -1 pending. */
export type QuickpayStatus = '1' | '0' | '-1';

/** The answer to a create that the customer must authorise at `url`. Its message key is `msg`. */
export function redirectAnswer(creation: Creation, publicUrl: string): object {
  const { code, message: msg } = answerCodes.success;
  const { account, terminal } = creation;
  const url = `${publicUrl}/bank/quickPay/create?opRefId=${creation.orderReferenceId}`;
  const merchant = { referenceId: creation.merchantReferenceId };
  return { msg, code, data: { account, terminal, order: orderNode(creation), url, merchant } };
}

/**
 * The final answer to a create, without a `url`. Unlike the answer to a query, it spells
 * `quickPay` in camel case, gives the status as a number, and holds amount and currency.
 */
export function directAnswer(creation: Creation, { statusWords }: FaultSwitches): object {
  const { code, message: msg } = answerCodes.success;
  const { account, terminal, currency, amount } = creation;
  const status = numberIfPossible(statusWords[hasToken(creation) ? '1' : '0']);
  const quickPay = hasToken(creation) ? { id: creation.quickpayId, status } : { status };
  return {
    msg,
    code,
    data: {
      account,
      terminal,
      card: {},
      order: { currency, amount, ...orderNode(creation) },
      quickPay,
      merchant: { referenceId: creation.merchantReferenceId },
    },
  };
}

/**
 * One creation in the answer to a query or cancel, which spells `quickpay` in lower case and gives
 * the status as a string.
 */
export function tokenNode(
  creation: Creation,
  status: QuickpayStatus,
  faults: FaultSwitches,
): object {
  const word = faults.statusWords[status];
  const quickpay =
    status === '-1' || !hasToken(creation)
      ? { status: word }
      : { id: creation.quickpayId, status: word, expiryTime: faults.expiryTime };
  return {
    account: creation.account,
    terminal: creation.terminal,
    order: orderNode(creation),
    merchant: { referenceId: creation.merchantReferenceId },
    quickpay,
    customer: { id: creation.customerId },
  };
}

/** The envelope of query and cancel. Its message key is `message`. */
export function queryAnswer(data: object): object {
  const { code, message } = answerCodes.success;
  return { message, code, data };
}

function numberIfPossible(word: string): string | number {
  return /^-?\d+$/.test(word) ? Number(word) : word;
}

function orderNode(creation: Creation): object {
  return {
    methods: creation.methods,
    referenceId: creation.orderReferenceId,
    remark: creation.remark,
    description: creation.description,
  };
}
