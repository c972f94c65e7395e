import { findNamedTokenizations } from '../db/named-tokenizations.ts';
import type { TokenizationRow } from '../db/rows.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import type { CallbackEnvelope, CallbackFields } from '../gateway/callback-message.ts';
import { wordsInMessage } from '../gateway/words-in-message.ts';

const namedMax = 3;
const quickpayIdLengthMin = 16;

/**
 * The tokenizations that any word of an unreadable message names. If only some of its fields are
 * unreadable, the readable ones count too, however short they are.
 */
export async function findTokenizationsNamedIn(
  { db, keyring }: Pick<BackendDependencies, 'db' | 'keyring'>,
  envelope: CallbackEnvelope,
  fields?: CallbackFields,
): Promise<readonly TokenizationRow[]> {
  const words = [...namesIn(fields), ...wordsInMessage(envelope)];
  if (words.length === 0) return [];
  const quickpayIndexes = words
    .filter(({ length }) => length >= quickpayIdLengthMin)
    .flatMap((word) => keyring.blindIndexes('quickpay_id', word));
  return await findNamedTokenizations(db, { words, quickpayIndexes }, namedMax);
}

function namesIn(fields: CallbackFields | undefined): readonly string[] {
  if (fields === undefined) return [];
  const { account, terminal, merchantReferenceId, orderReferenceId, quickpayId } = fields;
  const names = [account, terminal, merchantReferenceId, orderReferenceId, quickpayId?.reveal()];
  return names.filter((name) => name !== undefined);
}
