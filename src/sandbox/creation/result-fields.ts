import { computeSignature } from '../../gateway/signature.ts';
import { signatureFields } from '../../gateway/signature-fields.ts';
import { Secret } from '../../security/secret.ts';
import { answerCodes } from '../answer-codes.ts';
import type { Creation } from './creation.ts';
import type { FaultSwitches } from '../fault-switches.ts';

/** One field of a message. Names may repeat, as they do in the gateway's redirect. */
export type FieldPair = readonly [name: string, value: string];

/** A signature list; `none` for no signature; `wrong` for list Q1 with a wrong secure code. */
export type SignatureRule = FaultSwitches['redirectSignature'];

/** The result that a message reports. A forged or contradicting message reports a false one. */
export interface ReportedResult {
  readonly status: '1' | '0';
  /** Empty for a failure. */
  readonly quickpayId: string;
}

const wrongSecureCode = new Secret('not-the-secure-code');

/**
 * The fields of a result message, in the order of Oceanpayment's sample and without the signature.
 * Like the sample, it repeats `card_number`, `card_type` and `order_amount`, and holds a currency
 * and then the text `null` as card types.
 */
export function resultFields(
  creation: Creation,
  result: ReportedResult,
  { statusWords }: Pick<FaultSwitches, 'statusWords'>,
): FieldPair[] {
  const { code, message } = result.status === '1' ? answerCodes.success : answerCodes.declined;
  const isCard = creation.methods === 'Credit Card';
  return [
    ['code', code],
    ['message', message],
    ['account', creation.account],
    ['terminal', creation.terminal],
    ['card_number', isCard ? '411111***1111' : ''],
    ['card_number', ''],
    ['card_type', creation.currency],
    ['card_type', 'null'],
    ['card_country', creation.country],
    ['order_amount', creation.amount],
    ['order_amount', creation.amount],
    ['order_currency', creation.currency],
    ['order_notes', ''],
    ['order_remark', creation.remark],
    ['order_methods', creation.methods],
    ['order_reference_id', creation.orderReferenceId],
    ['merchant_reference_id', creation.merchantReferenceId],
    ['quickpay_id', result.quickpayId],
    ['quickpay_status', statusWords[result.status]],
  ];
}

/** The true result of a decided creation. */
export function actualResult(creation: Creation): ReportedResult {
  return creation.status === 'declined'
    ? { status: '0', quickpayId: '' }
    : { status: '1', quickpayId: creation.quickpayId };
}

/** Adds `signature` after `terminal`, in upper case, as in Oceanpayment's samples. */
export function signFields(
  fields: readonly FieldPair[],
  rule: SignatureRule,
  secureCode: Secret,
): FieldPair[] {
  if (rule === 'none') return [...fields];
  const key = rule === 'wrong' ? wrongSecureCode : secureCode;
  const signature = computeSignature(
    signatureList(rule),
    lastValueByName(fields),
    key,
  ).toUpperCase();
  const place = fields.findIndex(([name]) => name === 'terminal') + 1;
  return fields.toSpliced(place, 0, ['signature', signature]);
}

/** The names of the signed fields, in order. */
export function signatureList(rule: SignatureRule): readonly string[] {
  return rule === 'none' || rule === 'wrong' ? signatureFields.Q1 : signatureFields[rule];
}

/** One value per name. The last one counts, as in PHP's form parsing. */
export function lastValueByName(fields: readonly FieldPair[]): Record<string, string> {
  return Object.fromEntries(fields);
}
