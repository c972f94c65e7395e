/** A text and the bytes that a form parser can split: the same text in an ASCII-compatible form. */
export interface DecodedText {
  readonly text: string;
  /** Without a byte order mark. UTF-16 is encoded as UTF-8. */
  readonly bytes: Buffer;
}

const byteOrderMarks = [
  { mark: [0xef, 0xbb, 0xbf], charset: 'utf-8' },
  { mark: [0xff, 0xfe], charset: 'utf-16le' },
  { mark: [0xfe, 0xff], charset: 'utf-16be' },
] as const;

/** Charsets of one byte, which fit any bytes. Servlets declare ISO-8859-1 where nothing is set. */
const oneByteCharset = /^(?:iso-8859-|windows-125)/;

/**
 * Decodes a body. A byte order mark decides; then the first charset that fits: a declared one, else
 * UTF-8. UTF-8 is tried before a declared charset of one byte: text of that charset is hardly ever
 * valid UTF-8. A declared UTF-16 counts only if a byte is zero, since serializers that write to a
 * string declare it whatever the bytes are. The last resort is windows-1252, which keeps every
 * ASCII field readable.
 *
 * @param declared charsets named by the content type or the document; unknown names are ignored
 */
export function decodeText(
  body: Uint8Array,
  declared: readonly (string | undefined)[] = [],
): DecodedText {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const marked = byteOrderMarks.find(({ mark }) => mark.every((byte, at) => bytes[at] === byte));
  const content = bytes.subarray(marked?.mark.length ?? 0);
  const utf16 = marked?.charset.startsWith('utf-16') === true ? marked.charset : guessUtf16(bytes);
  if (utf16 !== undefined) {
    const text = new TextDecoder(utf16).decode(content);
    return { text, bytes: Buffer.from(text) };
  }
  const charsets = marked === undefined ? declared : ['utf-8'];
  return { text: decodeFirstFitting(content, charsets), bytes: content };
}

/** Decodes bytes without a byte order mark, in the first charset that fits. */
export function decodeFirstFitting(
  bytes: Uint8Array,
  declared: readonly (string | undefined)[],
): string {
  const known = declared
    .flatMap((label) => knownCharset(label) ?? [])
    .filter((name) => !name.startsWith('utf-16') || bytes.includes(0));
  const isUtf8First = known.some((name) => name === 'utf-8' || oneByteCharset.test(name));
  const inOrder = [...known, 'utf-8', 'windows-1252'];
  for (const charset of isUtf8First ? ['utf-8', ...inOrder] : inOrder) {
    try {
      return new TextDecoder(charset, { fatal: true }).decode(bytes);
    } catch {
      // These bytes are not of this charset.
    }
  }
  return '';
}

/** The charset that a content type names. */
export function charsetOf(contentType: string | undefined): string | undefined {
  return /;\s*charset\s*=\s*["']?([^"';,\s]+)/i.exec(contentType ?? '')?.[1];
}

/** Java writes some names with an underscore, as in `ISO8859_1`. */
function knownCharset(label: string | undefined): string | undefined {
  if (label === undefined) return undefined;
  try {
    return new TextDecoder(label.replaceAll('_', '-')).encoding;
  } catch {
    return undefined;
  }
}

/** Text of a gateway begins with an ASCII character, half of whose UTF-16 code is zero. */
function guessUtf16(bytes: Buffer): 'utf-16le' | 'utf-16be' | undefined {
  if (bytes.length < 4 || bytes.length % 2 === 1) return undefined;
  const zeros = [0, 1, 2, 3].map((at) => bytes[at] === 0).join();
  if (zeros === 'false,true,false,true') return 'utf-16le';
  return zeros === 'true,false,true,false' ? 'utf-16be' : undefined;
}
