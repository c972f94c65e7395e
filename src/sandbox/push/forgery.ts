import type { Secret } from '../../security/secret.ts';
import type { Creation } from '../creation/creation.ts';
import { drawUuid } from '../seeded-ids.ts';
import type { Random } from '../seeded-random.ts';
import {
  type FieldPair,
  type SignatureRule,
  lastValues,
  resultFields,
  signFields,
  signatureList,
  trueClaim,
} from '../creation/result-fields.ts';

/** A success with a made-up token id, signed by somebody who does not know the secure code. */
export function forgeSignature(
  creation: Creation,
  random: Random,
  secureCode: Secret,
): FieldPair[] {
  const claim = { status: '1', quickpayId: drawUuid(random) } as const;
  return signFields(resultFields(creation, claim), 'wrong', secureCode);
}

/**
 * A message with a genuine signature over other values: the gateway joins values without separators, so a character can be
 * moved across the border of two neighbours in the list and the hash stays right. Needs no secret, only a genuine message.
 */
export function shiftFields(
  creation: Creation,
  rule: SignatureRule,
  secureCode: Secret,
  side: 'left' | 'right',
): FieldPair[] {
  const genuine = signFields(resultFields(creation, trueClaim(creation)), rule, secureCode);
  const values = lastValues(genuine);
  const [giver, taker] = borderOf(signatureList(rule), values, side);
  const given = values[giver] ?? '';
  const taken = values[taker] ?? '';
  const changed: Record<string, string> = {
    [giver]: given.slice(0, -1),
    [taker]: given.slice(-1) + taken,
  };
  return genuine.map(([name, value]) => [name, changed[name] ?? value]);
}

/**
 * The border to shift at: on the right the token id loses a character to its neighbour, on the left it gains one, which leaves
 * every field well formed. Without a token id there is nothing to lose.
 */
function borderOf(
  list: readonly string[],
  values: Record<string, string>,
  side: 'left' | 'right',
): [string, string] {
  const at = list.indexOf('quickpay_id');
  const hasId = (values['quickpay_id'] ?? '') !== '';
  return side === 'right' && hasId
    ? ['quickpay_id', list[at + 1] ?? 'quickpay_status']
    : [list[at - 1] ?? 'merchant_reference_id', 'quickpay_id'];
}
