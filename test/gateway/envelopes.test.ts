import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  type CallbackEnvelope,
  parseCallback,
  readMessage,
} from '../../src/gateway/callback-message.ts';
import { checkGrammar } from '../../src/gateway/callback-grammar.ts';
import { usualStatusMap } from '../../src/domain/status-words.ts';
import { cpuMsOf } from '../support/cpu-time.ts';
import { envelopes, phpContentType, phpMultipart, sentFields } from '../support/envelopes.ts';

function rawOf(envelope: CallbackEnvelope): Readonly<Record<string, string>> {
  const parsed = parseCallback(envelope);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.message.raw;
}

describe('the envelope of a message', () => {
  test.each(envelopes)('%s is read with every character', (_, wrap) => {
    expect(rawOf(wrap(sentFields))).toMatchObject(sentFields);
  });

  test("a body of PHP's curl extension is read", () => {
    const parsed = parseCallback({ contentType: phpContentType, body: phpMultipart });
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(parsed.message.format).toBe('multipart');
    expect(parsed.message.raw).toMatchObject(sentFields);
    expect(checkGrammar(parsed.message, usualStatusMap)).toEqual([]);
  });

  test.each([' ', '\n', '\t\r\n  ', '\u00a0'])(
    'values padded with %j are acted on without it, and signed with it',
    (padding) => {
      const padded = Object.fromEntries(
        Object.entries(sentFields).map(([name, value]) => [name, `${padding}${value}${padding}`]),
      );
      for (const body of [JSON.stringify(padded), new URLSearchParams(padded).toString()]) {
        const read = readMessage({ body });
        if (!read.ok) throw new Error(read.reason);
        expect(read).toMatchObject({ account: '995149', terminal: '99514901' });
        expect(checkGrammar(read.message, usualStatusMap)).toEqual([]);
        expect(read.message.raw).toEqual(padded);
      }
    },
  );

  test.each(['', ' ', '99514', '9951490', '995 149', '\u200b995149', 'OTk1MTQ5', 'null'])(
    'the account %j, which is none, makes a message unreadable',
    (account) => {
      const terminal = '99514901';
      for (const fields of [
        { account, terminal },
        { account: '995149', terminal: account },
      ]) {
        expect(readMessage({ body: JSON.stringify(fields) })).toEqual({
          ok: false,
          reason: 'no_account',
        });
      }
    },
  );

  test('a field of the body wins over one of the query string', () => {
    const raw = rawOf({ body: 'account=1&terminal=2', query: 'account=9&quickpay_status=1' });
    expect(raw).toEqual({ account: '1', terminal: '2', quickpay_status: '1' });
  });

  test('a query string without an account does not make an unreadable body readable', () => {
    expect(parseCallback({ body: '{"a":', query: 'shop=7' })).toEqual({
      ok: false,
      reason: 'json_invalid',
    });
  });

  test('a body that grows beyond the limit when it is decompressed is refused at once', () => {
    const body = gzipSync(Buffer.alloc(50_000_000, 'a'));
    expect(body.byteLength).toBeLessThan(64 * 1_024);
    expect(cpuMsOf(() => parseCallback({ body }))).toBeLessThan(50);
    expect(parseCallback({ body, contentEncoding: 'gzip' })).toEqual({
      ok: false,
      reason: 'too_large',
    });
  });

  test.each<[string, CallbackEnvelope, string]>([
    [
      'multipart that is cut off',
      { contentType: phpContentType, body: phpMultipart.subarray(0, 900) },
      'multipart_invalid',
    ],
    [
      'multipart without a boundary',
      { contentType: 'multipart/form-data', body: 'account=1' },
      'multipart_invalid',
    ],
    [
      'multipart with a thousand parts',
      {
        contentType: 'multipart/form-data; boundary=b',
        body: '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'.repeat(1_000),
      },
      'multipart_invalid',
    ],
    ['gzip that is cut off', { body: gzipSync('account=1').subarray(0, 15) }, 'nul_character'],
  ])('%s is refused with a reason', (_, envelope, reason) => {
    expect(parseCallback(envelope)).toEqual({ ok: false, reason });
  });
});
