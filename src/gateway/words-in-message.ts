import { merchantPartOf } from '../domain/given-reference.ts';
import { type CallbackEnvelope, callbackBytesMax } from './callback-message.ts';
import { decompress } from './decompress.ts';

const wordsMax = 200;
/** Nearly every message has shorter words that name nothing, such as codes and currencies. */
const lengthMin = 4;
const lengthMax = 64;

/**
 * Separators of values in any format; a reference may contain those that only the second pattern
 * has.
 */
const separators = [/[^\x21-\x7e]+|["'<>&=]+/, /[^\x21-\x7e]+|["'<>&=;,:/\\|(){}[\]]+/];

/**
 * The distinct words of a message, whatever its format, for a search by references: those of 4 to
 * 64 characters, the longest first. Bytes count as Latin-1, and zeros are left out, so that UTF-16
 * reads as ASCII.
 */
export function wordsInMessage({ body, query, contentEncoding }: CallbackEnvelope): string[] {
  const sent = typeof body === 'string' ? Buffer.from(body) : body;
  const content = decompress(sent, contentEncoding, callbackBytesMax) ?? sent;
  const text = `${Buffer.from(content).toString('latin1').replaceAll('\0', '')} ${query ?? ''}`;
  const words = new Set<string>();
  for (const variant of [text, percentDecoded(text)]) {
    for (const separator of separators) {
      for (const word of variant.split(separator)) {
        if (word.length >= lengthMin && word.length <= lengthMax) words.add(word);
        // A message about a resubmitted request names the reference that the worker made.
        const original = merchantPartOf(word);
        if (original !== undefined && original !== '') words.add(original);
      }
    }
  }
  return [...words].toSorted((a, b) => b.length - a.length).slice(0, wordsMax);
}

function percentDecoded(text: string): string {
  return text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
