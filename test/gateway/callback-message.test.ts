import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkGrammar, semanticKey } from '../../src/gateway/callback-grammar.ts';
import { type CallbackMessage, parseCallback } from '../../src/gateway/callback-message.ts';
import { usualStatusMap } from '../../src/domain/status-words.ts';
import { cpuMsOf } from '../support/cpu-time.ts';
import { hostileBodies } from '../support/faults/hostile-bodies.ts';

const reference = '260401093541829655068';
const quickpayId = '3f1c8c1e-5a0e-4b0e-9a53-7d1f2c9b1a10';
const form =
  'code=000&message=SUCCESS&account=995149&terminal=99514901&signature=' +
  `${'a'.repeat(64)}&card_number=411111***1111&card_type=USD&order_amount=12.50&order_notes=&card_number=` +
  `&card_type=null&order_currency=EUR&order_amount=12.50&order_methods=&order_reference_id=${reference}` +
  `&order_remark=&merchant_reference_id=tok-1&quickpay_id=${quickpayId}&quickpay_status=1`;
const xml =
  '<?xml version="1.0" encoding="UTF-8"?><response><code>000</code><account>995149</account>' +
  `<terminal>99514901</terminal><signature>${'a'.repeat(64)}</signature><order_notes/>` +
  `<order_reference_id>${reference}</order_reference_id><merchant_reference_id>tok-1</merchant_reference_id>` +
  '<order_currency>EUR</order_currency><order_amount>12.50</order_amount>' +
  `<quickpay_id>${quickpayId}</quickpay_id><quickpay_status>1</quickpay_status></response>`;
const nestedJson = JSON.stringify({
  msg: 'SUCCESS',
  code: '000',
  data: {
    account: '995149',
    terminal: '99514901',
    card: {},
    order: { currency: 'EUR', amount: '12.50', methods: 'Klarna', referenceId: reference },
    quickPay: { id: quickpayId, status: 1 },
    merchant: { referenceId: 'tok-1' },
  },
});

function read(body: string | Uint8Array, contentType?: string): CallbackMessage {
  const parsed = parseCallback({ contentType, body });
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.message;
}

function faultOf(body: string | Uint8Array): string {
  const parsed = parseCallback({ contentType: undefined, body });
  return parsed.ok ? 'none' : parsed.reason;
}

/** The message of `form` with one changed field. */
function change(name: string, value: string): CallbackMessage {
  const pairs = new URLSearchParams(form);
  pairs.set(name, value);
  return read(pairs.toString());
}

describe('callback parser', () => {
  test.each([
    ['form', form],
    ['xml', xml],
    ['json', nestedJson],
  ])('reads the same message from %s', (format, body) => {
    const message = read(body);
    expect(message.format).toBe(format);
    expect({ ...message.fields, quickpayId: message.fields.quickpayId?.reveal() }).toMatchObject({
      account: '995149',
      terminal: '99514901',
      orderReferenceId: reference,
      merchantReferenceId: 'tok-1',
      quickpayId,
      status: '1',
      currency: 'EUR',
      amount: '12.50',
    });
    expect(checkGrammar(message, usualStatusMap)).toEqual([]);
  });

  test('reads a message despite a wrong content type', () => {
    expect(read(xml, 'application/x-www-form-urlencoded').format).toBe('xml');
    expect(read(nestedJson, 'text/plain').format).toBe('json');
    expect(
      read(form, 'application/json; charset=utf-8'.replace('json', 'octet-stream')).format,
    ).toBe('form');
  });

  test('takes the last value of a repeated name, and the text null for no value', () => {
    const message = read(form);
    expect(message.raw['card_type']).toBe('null');
    expect(message.raw['card_number']).toBe('');
    expect(read('account=null&terminal=1').fields.account).toBeUndefined();
  });

  test('keeps numbers of 19 digits exact', () => {
    const message = read(`{"merchant_reference_id":1955930998425718784,"account":995149}`);
    expect(message.fields.merchantReferenceId).toBe('1955930998425718784');
  });

  test.each([
    ['empty', ''],
    ['empty', '   \n'],
    ['doctype_forbidden', '<!DOCTYPE x [<!ENTITY a "b">]><response>&a;</response>'],
    ['doctype_forbidden', '<?xml version="1.0"?><! entity a "b"><response/>'],
    ['xml_invalid', '<response><a>1</response>'],
    ['xml_invalid', '<response'],
    ['too_deep', '<response><a><b>1</b></a></response>'],
    ['json_invalid', '{"a":'],
    ['not_an_object', '[1,2]'],
    ['too_deep', '{"a":{"b":{"c":{"d":1}}}}'],
    ['too_deep', '['.repeat(20_000)],
    ['nul_character', 'account=1\0'],
    ['nul_character', '{"account":"\\u0000"}'],
    ['nul_character', 'account=%00'],
    ['too_large', 'a='.padEnd(65_537, 'x')],
    ['too_many_fields', Array.from({ length: 300 }, (_, n) => `f${n}=1`).join('&')],
    ['not_an_object', 'just text'],
  ])('refuses a broken body with the reason %s', (reason, body) => {
    expect(faultOf(body)).toBe(reason);
  });

  test('treats names of object properties, such as __proto__, as data', () => {
    const message = read('__proto__=1&constructor=2&account=995149');
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    expect(message.fields.account).toBe('995149');
    expect(read('{"__proto__":{"account":"1"},"terminal":"2"}').fields.account).toBeUndefined();
  });

  test('never throws and reads any body within 50 ms of CPU time', () => {
    const fragments = fc.constantFrom(
      '<',
      '>',
      '&',
      '=',
      '{',
      '}',
      '[',
      '"',
      '%',
      '\0',
      '&#',
      ';',
      '<!',
      '-->',
      '<a>',
      ']]>',
    );
    const hostile = fc
      .array(fc.oneof(fragments, fc.string()), { maxLength: 200 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        hostile,
        fc.constantFrom(undefined, 'application/json', 'text/xml'),
        (body, contentType) => {
          return cpuMsOf(() => parseCallback({ contentType, body })) < 50;
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test.each(hostileBodies)(
    'reads or refuses a hostile body within 50 ms of CPU time: %s',
    (_, body, contentType) => {
      expect(cpuMsOf(() => parseCallback({ contentType, body }))).toBeLessThan(50);
      const parsed = parseCallback({ contentType, body });
      expect(parsed.ok ? parsed.message.fields.quickpayId : undefined).toBeUndefined();
    },
  );

  test('hides the QuickPay ID of a printed message', () => {
    expect(JSON.stringify(read(form).fields)).not.toContain(quickpayId);
  });
});

describe('callback grammar', () => {
  test.each([
    ['account', '9951490', 'account'],
    ['terminal', '9951490x', 'terminal'],
    ['order_reference_id', '12a', 'orderReferenceId'],
    ['merchant_reference_id', 'with space', 'merchantReferenceId'],
    ['quickpay_id', 'a'.repeat(65), 'quickpayId'],
    ['quickpay_status', '2', 'status'],
    ['quickpay_status', '01', 'status'],
    ['order_currency', 'eur', 'currency'],
    ['order_amount', '1e3', 'amount'],
    ['order_amount', '0012.50', 'amount'],
    ['order_amount', '12.500', 'amount'],
    ['quickpay_id', '', 'quickpayId'],
    ['account', '', 'account'],
  ])('refuses %s = "%s" as %s', (name, value, field) => {
    expect(checkGrammar(change(name, value), usualStatusMap).map((fault) => fault.field)).toContain(
      field,
    );
  });
});

describe('semantic key', () => {
  test('ignores the push time and the signature, but no field about the token', () => {
    const key = semanticKey('notify', read(form));
    expect(semanticKey('notify', change('push_dateTime', '2026-01-01'))).toBe(key);
    expect(semanticKey('notify', change('signature', 'b'.repeat(64)))).toBe(key);
    expect(semanticKey('redirect', read(form))).not.toBe(key);
    for (const [name, value] of [
      ['quickpay_status', '0'],
      ['merchant_reference_id', 'tok-2'],
      ['quickpay_id', 'other'],
    ] as const) {
      expect(semanticKey('notify', change(name, value))).not.toBe(key);
    }
  });
});
