import type { Secret } from '../../security/secret.ts';
import type { Creation } from '../creation/creation.ts';
import {
  type FieldPair,
  actualResult,
  lastValueByName,
  resultFields,
  signFields,
  signatureList,
} from '../creation/result-fields.ts';
import type { FaultSwitches } from '../fault-switches.ts';
import { drawUuid } from '../seeded-ids.ts';
import type { Random } from '../seeded-random.ts';

/** An approval with an invented token id, signed with a wrong secure code. */
export function forgeApproval(
  creation: Creation,
  random: Random,
  secureCode: Secret,
  faults: FaultSwitches,
): FieldPair[] {
  const result = { status: '1', quickpayId: drawUuid(random) } as const;
  return signFields(resultFields(creation, result, faults), 'wrong', secureCode);
}

/**
 * A message whose genuine signature covers different values. The gateway joins the signed values
 * without separators, so an attacker can move a character from one field to the next and keep the
 * signature. This takes one genuine message and no secret.
 */
export function shiftSignedFields(
  creation: Creation,
  faults: FaultSwitches,
  secureCode: Secret,
  side: 'left' | 'right',
): FieldPair[] {
  const rule = faults.pushSignature;
  const fields = resultFields(creation, actualResult(creation), faults);
  const genuine = signFields(fields, rule, secureCode);
  const values = lastValueByName(genuine);
  const [loser, gainer] = fieldsToShift(signatureList(rule), values, side);
  const shortened = values[loser] ?? '';
  const changed: Record<string, string> = {
    [loser]: shortened.slice(0, -1),
    [gainer]: shortened.slice(-1) + (values[gainer] ?? ''),
  };
  return genuine.map(([name, value]) => [name, changed[name] ?? value]);
}

/**
 * The field that loses its last character and the field that gains it. On the right the token id
 * loses it; on the left the token id gains it, which leaves every field well formed. Without a
 * token id only the left side is possible.
 */
function fieldsToShift(
  list: readonly string[],
  values: Record<string, string>,
  side: 'left' | 'right',
): [loser: string, gainer: string] {
  const index = list.indexOf('quickpay_id');
  const hasTokenId = (values['quickpay_id'] ?? '') !== '';
  return side === 'right' && hasTokenId
    ? ['quickpay_id', list[index + 1] ?? 'quickpay_status']
    : [list[index - 1] ?? 'merchant_reference_id', 'quickpay_id'];
}
