import type { CallbackRow } from '../db/rows.ts';
import { sealedPlace } from '../db/sealed-place.ts';
import type { CallbackEnvelope } from '../gateway/callback-message.ts';
import type { Keyring } from '../security/keyring.ts';

/** A message as it was stored, byte by byte. */
export interface StoredEnvelope extends CallbackEnvelope {
  readonly body: Buffer;
  /** Whether all of the message is stored, and not just an excerpt. */
  readonly isWhole: boolean;
}

/** What the worker keeps of a message that it does not store in full. */
export const excerptBytes = 256;

/** The columns that hold a message. The body is sealed as bytes, because it may be no text. */
export function envelopeColumns(
  keyring: Keyring,
  id: string,
  envelope: CallbackEnvelope & { readonly body: Uint8Array },
  isKeptWhole: boolean,
) {
  const { body, query, contentType, contentEncoding } = envelope;
  const keptBody = isKeptWhole ? body : body.subarray(0, excerptBytes);
  const keptQuery = isKeptWhole ? query : undefined;
  return {
    content_type: contentType?.slice(0, 255).toWellFormed() ?? null,
    content_encoding: contentEncoding?.slice(0, 255).toWellFormed() ?? null,
    body_sealed: keyring.seal(sealedPlace('callback', 'body_sealed', id), keptBody),
    query_sealed:
      keptQuery === undefined
        ? null
        : keyring.seal(sealedPlace('callback', 'query_sealed', id), keptQuery),
    body_bytes: body.byteLength + Buffer.byteLength(query ?? ''),
  };
}

/** Opens the stored message of a row. */
export function openEnvelope(keyring: Keyring, row: CallbackRow): StoredEnvelope {
  const body = keyring.openBytes(sealedPlace('callback', 'body_sealed', row.id), row.body_sealed);
  const query =
    row.query_sealed === null
      ? undefined
      : keyring.open(sealedPlace('callback', 'query_sealed', row.id), row.query_sealed).reveal();
  return {
    contentType: row.content_type ?? undefined,
    contentEncoding: row.content_encoding ?? undefined,
    query,
    body,
    isWhole: body.byteLength + Buffer.byteLength(query ?? '') >= row.body_bytes,
  };
}
