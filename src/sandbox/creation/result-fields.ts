import { computeSignature } from '../../gateway/signature.ts';
import { signatureFields } from '../../gateway/signature-fields.ts';
import { Secret } from '../../security/secret.ts';
import { answerCodes } from '../answer-codes.ts';
import type { Creation } from './creation.ts';
import type { FaultSwitches } from '../fault-switches.ts';

/** One field of a form; names may repeat, as they do in the gateway's redirect. */
export type FieldPair = readonly [name: string, value: string];

/** A signature list, none at all, or a wrong secret under the default list. */
export type SignatureRule = FaultSwitches['redirectSignature'];

/** What a result message claims; it need not be true. */
export interface Claim {
  readonly status: '1' | '0';
  /** Empty for a failure. */
  readonly quickpayId: string;
}

const wrongSecureCode = new Secret('not-the-secure-code');

/**
 * The fields of the redirect result in the vendor's order, without the signature. `card_number`, `card_type` and
 * `order_amount` appear twice with the sample's oddities: a masked number and then nothing, a currency and then the text `null`.
 */
export function resultFields(creation: Creation, claim: Claim): FieldPair[] {
  const { code, message } = claim.status === '1' ? answerCodes.success : answerCodes.declined;
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
    ['quickpay_id', claim.quickpayId],
    ['quickpay_status', claim.status],
  ];
}

/** What the gateway really has to say about a decided creation. */
export function trueClaim(creation: Creation): Claim {
  return creation.status === 'declined'
    ? { status: '0', quickpayId: '' }
    : { status: '1', quickpayId: creation.quickpayId };
}

/** The fields with `signature` in its place, in upper case as in the vendor's samples; unchanged under `none`. */
export function signFields(
  fields: readonly FieldPair[],
  rule: SignatureRule,
  secureCode: Secret,
): FieldPair[] {
  if (rule === 'none') return [...fields];
  const key = rule === 'wrong' ? wrongSecureCode : secureCode;
  const signature = computeSignature(signatureList(rule), lastValues(fields), key).toUpperCase();
  const place = fields.findIndex(([name]) => name === 'terminal') + 1;
  return fields.toSpliced(place, 0, ['signature', signature]);
}

/** The ordered names a rule signs; the default list where the rule has none of its own. */
export function signatureList(rule: SignatureRule): readonly string[] {
  return rule === 'none' || rule === 'wrong' ? signatureFields.Q1 : signatureFields[rule];
}

/** One value per name: the last one counts, as in PHP. */
export function lastValues(fields: readonly FieldPair[]): Record<string, string> {
  return Object.fromEntries(fields);
}
