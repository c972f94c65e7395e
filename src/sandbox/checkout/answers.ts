import { answerCodes } from '../answer-codes.ts';
import { type Creation, isToken } from '../creation/creation.ts';
import type { FaultSwitches } from '../fault-switches.ts';

/** Status of a token as the gateway writes it: 1 usable, 0 failed or disabled, -1 pending. */
export type QuickpayStatus = '1' | '0' | '-1';

/** Create's answer with a `url`: the customer must authorise. Message key `msg`. */
export function redirectAnswer(creation: Creation, publicUrl: string): object {
  const { code, message: msg } = answerCodes.success;
  const { account, terminal } = creation;
  const url = `${publicUrl}/bank/quickPay/create?opRefId=${creation.orderReferenceId}`;
  const merchant = { referenceId: creation.merchantReferenceId };
  return { msg, code, data: { account, terminal, order: orderNode(creation), url, merchant } };
}

/** Create's answer without a `url`: final. Key `quickPay` in camel case, status a number, amount and currency present. */
export function directAnswer(creation: Creation): object {
  const { code, message: msg } = answerCodes.success;
  const { account, terminal, currency, amount } = creation;
  const quickPay = isToken(creation) ? { id: creation.quickpayId, status: 1 } : { status: 0 };
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

/** What query and cancel tell about one creation: key `quickpay` in lower case, status a string. */
export function tokenNode(
  creation: Creation,
  status: QuickpayStatus,
  faults: FaultSwitches,
): object {
  const quickpay =
    status === '-1' || !isToken(creation)
      ? { status }
      : { id: creation.quickpayId, status, expiryTime: faults.expiryTime };
  return {
    account: creation.account,
    terminal: creation.terminal,
    order: orderNode(creation),
    merchant: { referenceId: creation.merchantReferenceId },
    quickpay,
    customer: { id: creation.customerId },
  };
}

/** The envelope of query and cancel: message key `message`. */
export function queryAnswer(data: object): object {
  const { code, message } = answerCodes.success;
  return { message, code, data };
}

function orderNode(creation: Creation): object {
  return {
    methods: creation.methods,
    referenceId: creation.orderReferenceId,
    remark: creation.remark,
    description: creation.description,
  };
}
