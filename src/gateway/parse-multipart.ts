import { type MultipartPart, parseMultipart } from '@remix-run/multipart-parser';
import { charsetOf, decodeFirstFitting } from './decode-text.ts';
import { fieldsByName, type ParsedFields } from './parsed-fields.ts';

const fieldsMax = 200;

/** Whether a body is `multipart/form-data`, by its content type or by its first line. */
export function isMultipart(contentType: string | undefined, bytes: Buffer): boolean {
  return /^\s*multipart\//i.test(contentType ?? '') || boundaryInBody(bytes) !== undefined;
}

/**
 * Parses `multipart/form-data`. A part may declare its own charset and be in base64. Some scripts
 * end lines with a bare line feed.
 */
export function parseMultipartForm(
  bytes: Buffer,
  rules: {
    readonly contentType: string | undefined;
    readonly duplicates: 'last' | 'first';
  },
): ParsedFields {
  const { contentType, duplicates } = rules;
  const boundary = boundaryOf(bytes, contentType);
  if (boundary === undefined) return { ok: false, reason: 'multipart_invalid' };
  const body = bytes.includes('\r\n')
    ? bytes
    : Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
  const found: [string, string][] = [];
  try {
    for (const part of parseMultipart(body, { boundary, maxParts: fieldsMax })) {
      if (part.name === undefined) continue;
      const charsets = [charsetOf(part.headers['content-type']), charsetOf(contentType)];
      found.push([part.name, decodeFirstFitting(decodedBytes(part), charsets)]);
    }
  } catch {
    return { ok: false, reason: 'multipart_invalid' };
  }
  return found.length === 0
    ? { ok: false, reason: 'not_an_object' }
    : { ok: true, raw: fieldsByName(found, duplicates) };
}

/** The bytes of a part. Libraries that write multipart as for mail encode them in base64. */
function decodedBytes({ headers, bytes }: MultipartPart): Uint8Array {
  const encoding = headers['content-transfer-encoding']?.trim().toLowerCase();
  return encoding === 'base64'
    ? Buffer.from(Buffer.from(bytes).toString('latin1'), 'base64')
    : bytes;
}

/** The declared boundary, or the one in the body if a proxy lost or changed the declaration. */
function boundaryOf(bytes: Buffer, contentType: string | undefined): string | undefined {
  const declared = /;\s*boundary\s*=\s*(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '');
  const boundary = declared?.[1] ?? declared?.[2];
  if (boundary !== undefined && bytes.includes(`--${boundary}`)) return boundary;
  return boundaryInBody(bytes);
}

function boundaryInBody(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, 200);
  return /^\s*--([\x21-\x7e]{1,70})\r?\ncontent-disposition:/i.exec(start)?.[1];
}
