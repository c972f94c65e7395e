import { expect, test } from 'vitest';
import { inboundMessageOf } from '../../src/callback/raw.ts';
import { parseCallback } from '../../src/gateway/callback-message.ts';
import { phpContentType, phpMultipart } from '../support/envelopes.ts';

function readForwarded(contentType: string | undefined, body: string) {
  const payload = { v: 1 as const, body, ...(contentType === undefined ? {} : { contentType }) };
  const parsed = parseCallback(inboundMessageOf('notify', payload));
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.message.raw;
}

test.each([
  ['text/xml; charset=ISO-8859-1', '<r><order_remark>Müller</order_remark></r>'],
  [
    undefined,
    '<?xml version="1.0" encoding="ISO-8859-1"?><r><order_remark>Müller</order_remark></r>',
  ],
  ['application/json;charset="GBK"; version=1', '{"order_remark":"Müller"}'],
])('a forwarded text counts as decoded, whatever charset it declares (%s)', (type, body) => {
  expect(readForwarded(type, body)['order_remark']).toBe('Müller');
});

test('a forwarded multipart body keeps its boundary', () => {
  const raw = readForwarded(`${phpContentType}; charset=ISO-8859-1`, phpMultipart.toString());
  expect(raw['order_remark']).toBe('Zoë Müller');
});
