import {
  brotliDecompressSync,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib';

type Decoder = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Buffer;

/** `deflate` means zlib, but some senders leave out its header. */
const inflate: Decoder = (bytes, options) => {
  try {
    return inflateSync(bytes, options);
  } catch (error) {
    if (isTooLarge(error)) throw error;
    return inflateRawSync(bytes, options);
  }
};

const decoders: Readonly<Record<string, Decoder>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflate,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};
const codingsMax = 3;

/**
 * Undoes the content encoding of a body; undefined if the result is larger than `bytesMax`.
 *
 * A body that is not in its declared encoding stays as it is: a proxy may have decoded it and left
 * the header. A gzip body is recognized without a header too, because no text begins like one.
 */
export function decompress(
  body: Uint8Array,
  contentEncoding: string | undefined,
  bytesMax: number,
): Uint8Array | undefined {
  const declared = (contentEncoding ?? '').toLowerCase().split(',').slice(0, codingsMax);
  let bytes = body;
  for (const coding of declared.toReversed()) {
    const name = coding.trim();
    const decoder = Object.hasOwn(decoders, name) ? decoders[name] : undefined;
    const decoded = decoder === undefined ? bytes : tryDecode(decoder, bytes, bytesMax);
    if (decoded === undefined) return undefined;
    bytes = decoded;
  }
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? tryDecode(gunzipSync, bytes, bytesMax) : bytes;
}

function tryDecode(decoder: Decoder, bytes: Uint8Array, bytesMax: number): Uint8Array | undefined {
  try {
    return decoder(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    return isTooLarge(error) ? undefined : bytes;
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}
