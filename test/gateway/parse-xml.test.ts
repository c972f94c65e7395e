import { describe, expect, test } from 'vitest';
import { parseCallback } from '../../src/gateway/callback-message.ts';
import { computeSignature, verifySignature } from '../../src/gateway/signature.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { Secret } from '../../src/security/secret.ts';
import { cpuMsOf } from '../support/cpu-time.ts';

function notesOf(content: string): string | undefined {
  const body = `<response><order_notes>${content}</order_notes></response>`;
  const parsed = parseCallback({ contentType: 'application/xml', body });
  return parsed.ok ? parsed.message.raw['order_notes'] : parsed.reason;
}

describe('text of an XML field', () => {
  test.each([
    ['O&#039;Neil &#x27;', "O'Neil '"],
    ['&amp;&lt;&gt;&quot;&apos;', '&<>"\''],
    ['Z&#235;', 'Zë'],
    ['<![CDATA[a<b &amp; c]]>', 'a<b &amp; c'],
    [' 9.90 ', ' 9.90 '],
    ['0012', '0012'],
    ['1955930998425718784', '1955930998425718784'],
  ])('%j is read as %j', (content, text) => {
    expect(notesOf(content)).toBe(text);
  });

  test.each([
    ['&amp;#39;', '&#39;'],
    ['&amp;lt;', '&lt;'],
    ['&#38;lt;', '&lt;'],
    ['&#38;#39;', '&#39;'],
  ])('%j is decoded only once', (content, text) => {
    expect(notesOf(content)).toBe(text);
  });

  test('holds no NUL or surrogate from a character reference', () => {
    expect(notesOf('a&#0;b')).not.toContain('\0');
    expect(notesOf('a&#xD800;b')).not.toMatch(/\p{Cs}/u);
  });
});

test('a signature covers the decoded text of an XML field', () => {
  const secureCode = new Secret('sandbox-secret-01');
  const values = { account: '995149', terminal: '99514901', order_notes: "O'Neil" };
  const signature = computeSignature(signatureFields.c1, values, secureCode);
  const body =
    '<response><account>995149</account><terminal>99514901</terminal>' +
    `<order_notes>O&#039;Neil</order_notes><signValue>${signature}</signValue></response>`;
  const parsed = parseCallback({ contentType: 'text/xml', body });
  if (!parsed.ok) throw new Error(parsed.reason);
  const { raw, fields } = parsed.message;
  const verify = (received: Readonly<Record<string, string>>) =>
    verifySignature({
      values: received,
      signature: fields.signature,
      candidates: { c1: signatureFields.c1 },
      secureCodes: [secureCode],
    }).verdict;
  expect(verify(raw)).toBe('verified');
  expect(verify({ ...raw, order_notes: 'O&#039;Neil' })).toBe('mismatch');
});

describe('hostile XML document', () => {
  test.each([
    ['doctype_forbidden', '<!DOCTYPE r SYSTEM "file:///etc/passwd"><r><n>1</n></r>'],
    ['doctype_forbidden', '<r><n>1</n></r><!doctype r>'],
    ['doctype_forbidden', '<r><![CDATA[<!ENTITY x "y">]]></r>'],
    ['xml_invalid', '<a><b>1</b></a><c><d>2</d></c>'],
    ['xml_invalid', '<r><__proto__>1</__proto__></r>'],
    ['not_an_object', '<r>text</r>'],
    ['not_an_object', '<r/>'],
    ['too_many_fields', `<r>${'<a>1</a>'.repeat(500)}</r>`],
  ])('is refused as %s: %j', (reason, body) => {
    expect(parseCallback({ contentType: undefined, body })).toEqual({ ok: false, reason });
  });

  test('is refused in UTF-16 too, where a search of the bytes for a document type misses it', () => {
    const body = Buffer.from('<!DOCTYPE r><r><n>1</n></r>', 'utf16le');
    expect(parseCallback({ contentType: 'application/xml', body })).toEqual({
      ok: false,
      reason: 'doctype_forbidden',
    });
  });
});

const full = 65_000;
test.each([
  ['comment', `<r><!--${'-'.repeat(full)}`],
  ['attributes', `<r ${'a="1" '.repeat(full / 6)}><n>1</n></r>`],
  ['attribute name', `<r ${'a'.repeat(full)}>`],
  ['quotes', `<r a="${"'".repeat(full)}`],
  ['blanks', `<r>${' '.repeat(full)}</r>`],
  ['declaration', `<!${' '.repeat(full)}`],
  ['instruction', `<?${'?'.repeat(full)}`],
  ['references', `<r><n>${'&#39;'.repeat(full / 5 - 10)}</n></r>`],
  ['broken references', `<r><n>${'&#'.repeat(full / 2 - 10)}</n></r>`],
  ['prefixes', `<${'a:'.repeat(full / 2)}>`],
])('an XML document of the largest size, full of %s, costs little CPU time', (_, body) => {
  expect(Buffer.byteLength(body)).toBeGreaterThan(60_000);
  expect(cpuMsOf(() => parseCallback({ contentType: undefined, body }))).toBeLessThan(500);
});
