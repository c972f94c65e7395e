import { readFileSync } from 'node:fs';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import type { CallbackEnvelope } from '../../src/gateway/callback-message.ts';

/** The fields of a message. The remark holds characters that each charset encodes differently. */
export const sentFields = {
  code: '000',
  account: '995149',
  terminal: '99514901',
  order_reference_id: '260401093541829655068',
  merchant_reference_id: 'tok-1',
  order_remark: 'Zoë Müller',
  quickpay_id: '3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10',
  quickpay_status: '1',
};

export type SentFields = typeof sentFields;

/** A multipart body that PHP's curl extension sent, with the account and references above. */
export const phpMultipart = readFileSync(
  new URL('../fixtures/envelopes/php-curl-multipart.bin', import.meta.url),
);
export const phpContentType =
  'multipart/form-data; boundary=------------------------6945d3f52ac6cbe3';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const bom = Buffer.from([0xef, 0xbb, 0xbf]);

function xml(fields: SentFields, prolog: string): string {
  const elements = Object.entries(fields).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `${prolog}<response>${elements.join('')}</response>`;
}

function multipart(
  fields: Readonly<Record<string, string>>,
  partType: string,
  lineEnd = '\r\n',
): string {
  const parts = Object.entries(fields).map(([name, value]) =>
    [`--b1`, `Content-Disposition: form-data; name="${name}"${partType}`, '', value, ''].join(
      lineEnd,
    ),
  );
  return `${parts.join('')}--b1--${lineEnd}`;
}

/** A form whose values are percent-encoded byte by byte, as Java encodes them in Latin-1. */
function latin1Form(fields: SentFields): string {
  return Object.entries(fields)
    .map(([name, value]) => {
      const bytes = [...latin1(value)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`);
      return `${name}=${bytes.join('')}`;
    })
    .join('&');
}

const json = (fields: SentFields): string => JSON.stringify(fields);
const form = (fields: SentFields): string => new URLSearchParams(fields).toString();
const formType = 'application/x-www-form-urlencoded';

function splitForm(fields: SentFields): CallbackEnvelope {
  const { account, terminal, ...rest } = fields;
  return {
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify(rest)),
    query: new URLSearchParams({ account, terminal, shop: '7' }).toString(),
  };
}

/** Envelopes that HTTP clients of Java and PHP send, each around the same fields. */
export const envelopes: readonly (readonly [string, (fields: SentFields) => CallbackEnvelope])[] = [
  [
    'XML in ISO-8859-1, by its prolog',
    (fields) => ({
      contentType: 'text/xml',
      body: latin1(xml(fields, '<?xml version="1.0" encoding="ISO-8859-1"?>')),
    }),
  ],
  [
    'XML in ISO-8859-1, by its content type',
    (fields) => ({
      contentType: 'application/xml;charset=ISO8859_1',
      body: latin1(xml(fields, '')),
    }),
  ],
  [
    'XML in UTF-8 under a content type of ISO-8859-1, which Java adds by default',
    (fields) => ({
      contentType: 'text/xml;charset=ISO-8859-1',
      body: Buffer.from(xml(fields, '<?xml version="1.0" encoding="UTF-8"?>')),
    }),
  ],
  [
    'XML with a byte order mark',
    (fields) => ({
      contentType: 'application/xml',
      body: Buffer.concat([bom, Buffer.from(xml(fields, '<?xml version="1.0"?>'))]),
    }),
  ],
  [
    'XML in UTF-16 with a byte order mark',
    (fields) => ({
      contentType: 'application/xml',
      body: Buffer.from(
        `\ufeff${xml(fields, '<?xml version="1.0" encoding="UTF-16"?>')}`,
        'utf16le',
      ),
    }),
  ],
  ...['', ' '].flatMap((end): typeof envelopes => [
    [
      `XML in UTF-8 under a prolog of UTF-16, which .NET writes to strings${end && ', with a space at its end'}`,
      (fields) => ({
        contentType: 'application/xml',
        body: Buffer.from(xml(fields, '<?xml version="1.0" encoding="utf-16"?>') + end),
      }),
    ],
    [
      `JSON in UTF-8 under a content type of UTF-16${end && ', with a space at its end'}`,
      (fields) => ({
        contentType: 'application/json; charset=utf-16',
        body: Buffer.from(json(fields) + end),
      }),
    ],
  ]),
  [
    'JSON in UTF-8 under a content type of ISO-8859-1 alone',
    (fields) => ({
      contentType: 'application/json; charset=ISO-8859-1',
      body: Buffer.from(json(fields)),
    }),
  ],
  [
    'Latin-1 under a declaration of UTF-8',
    (fields) => ({ contentType: 'text/xml; charset=utf-8', body: latin1(xml(fields, '')) }),
  ],
  [
    'Latin-1 without a declaration',
    (fields) => ({ contentType: formType, body: latin1(json(fields)) }),
  ],
  [
    'JSON with a byte order mark',
    (fields) => ({
      contentType: 'application/json',
      body: Buffer.concat([bom, Buffer.from(json(fields))]),
    }),
  ],
  [
    'JSON in UTF-16 without a byte order mark',
    (fields) => ({ contentType: 'application/json', body: Buffer.from(json(fields), 'utf16le') }),
  ],
  [
    'JSON encoded twice',
    (fields) => ({
      contentType: 'application/json',
      body: Buffer.from(JSON.stringify(json(fields))),
    }),
  ],
  [
    'JSON in one field of a form',
    (fields) => ({
      contentType: formType,
      body: Buffer.from(`data=${encodeURIComponent(json(fields))}`),
    }),
  ],
  [
    'a form in Latin-1, by its content type',
    (fields) => ({
      contentType: `${formType};charset=ISO-8859-1`,
      body: Buffer.from(latin1Form(fields)),
    }),
  ],
  [
    'a form with a byte order mark',
    (fields) => ({
      contentType: formType,
      body: Buffer.concat([bom, Buffer.from(form(fields))]),
    }),
  ],
  [
    'multipart',
    (fields) => ({
      contentType: 'multipart/form-data; boundary="b1"',
      body: Buffer.from(multipart(fields, '')),
    }),
  ],
  [
    'multipart whose parts declare ISO-8859-1, as Apache HttpClient sends it',
    (fields) => ({
      contentType: 'multipart/form-data; boundary=b1; charset=UTF-8',
      body: latin1(
        multipart(
          fields,
          '\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit',
        ),
      ),
    }),
  ],
  [
    'multipart whose parts are in base64, as MIME libraries of mail send it',
    (fields) => ({
      contentType: 'multipart/form-data; boundary=b1',
      body: Buffer.from(
        multipart(
          Object.fromEntries(
            Object.entries(fields).map(([name, value]) => [
              name,
              Buffer.from(value).toString('base64'),
            ]),
          ),
          '\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Base64',
        ),
      ),
    }),
  ],
  [
    'multipart without its boundary in the content type',
    (fields) => ({ contentType: formType, body: Buffer.from(multipart(fields, '')) }),
  ],
  [
    'multipart with bare line feeds',
    (fields) => ({
      contentType: 'multipart/form-data; boundary=b1',
      body: Buffer.from(multipart(fields, '', '\n')),
    }),
  ],
  [
    'gzip',
    (fields) => ({
      contentType: formType,
      contentEncoding: 'gzip',
      body: gzipSync(form(fields)),
    }),
  ],
  [
    'gzip without its header',
    (fields) => ({ contentType: 'application/json', body: gzipSync(json(fields)) }),
  ],
  [
    'deflate with and without the header of zlib',
    (fields) => ({
      contentEncoding: 'deflate, deflate',
      body: deflateRawSync(deflateSync(form(fields))),
    }),
  ],
  ['brotli', (fields) => ({ contentEncoding: 'br', body: brotliCompressSync(xml(fields, '')) })],
  [
    'a header of gzip that a proxy left behind',
    (fields) => ({ contentEncoding: 'gzip', body: Buffer.from(form(fields)) }),
  ],
  [
    'fields in the query string of a POST',
    (fields) => ({ contentType: 'text/plain', body: Buffer.from('ping'), query: form(fields) }),
  ],
  ['fields in the query string and in the body', splitForm],
];
