import { findNamedTokenizations } from '../db/named-tokenizations.ts';
import type { TokenizationRow } from '../db/rows.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import type { CallbackEnvelope } from '../gateway/callback-message.ts';
import { wordsInMessage } from '../gateway/words-in-message.ts';

const namedMax = 3;
const quickpayIdLengthMin = 16;

/** The tokenizations that any word of a message names. They are searched when it can't be read. */
export async function findTokenizationsNamedIn(
  { db, keyring }: Pick<BackendDependencies, 'db' | 'keyring'>,
  envelope: CallbackEnvelope,
): Promise<readonly TokenizationRow[]> {
  const words = wordsInMessage(envelope);
  if (words.length === 0) return [];
  const quickpayIndexes = words
    .filter(({ length }) => length >= quickpayIdLengthMin)
    .flatMap((word) => keyring.blindIndexes('quickpay_id', word));
  return await findNamedTokenizations(db, { words, quickpayIndexes }, namedMax);
}
