const levels = Array.from({ length: 12 }, (_, level) => level);
const expansion = `<!DOCTYPE r [<!ENTITY a0 "ha">${levels
  .map((level) => `<!ENTITY a${level + 1} "&a${level};&a${level};&a${level};&a${level};">`)
  .join('')}]><r>&a12;</r>`;

/** Bodies that an attacker might send to the callback routes: name, body, content type. */
export const hostileBodies: readonly (readonly [string, string | Buffer, string | undefined])[] = [
  ['DOCTYPE', '<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>', 'text/xml'],
  [
    'external entity',
    '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
    'text/xml',
  ],
  ['entity expansion', expansion, 'application/xml'],
  ['deep XML', '<a>'.repeat(5_000) + '</a>'.repeat(5_000), 'text/xml'],
  ['deep JSON', '['.repeat(30_000) + ']'.repeat(30_000), 'application/json'],
  ['deep objects', '{"a":'.repeat(8_000) + '1' + '}'.repeat(8_000), 'application/json'],
  [
    'duplicate keys',
    'account=1&account=2&account=3&quickpay_status=1&quickpay_status=0',
    undefined,
  ],
  ['duplicate JSON keys', '{"account":"1","account":"2"}', 'application/json'],
  ['an array', '[{"account":"995149"}]', 'application/json'],
  ['a NUL', 'account=995149%00&terminal=1', undefined],
  ['a raw NUL', Buffer.from('account=99\0'), undefined],
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'application/json'],
  ['a lone surrogate', '{"account":"\\ud800"}', 'application/json'],
  ['a wrong content type', '<response/>', 'application/json'],
  ['an unknown content type', 'account=1', 'application/x-tar; charset=utf-7'],
  ['null', 'null', 'application/json'],
  [
    'a number beyond 2^53',
    '{"account":9007199254740993,"order_reference_id":1e400}',
    'application/json',
  ],
  ['many fields', Array.from({ length: 5_000 }, (_, n) => `f${n}=1`).join('&'), undefined],
  ['comments', `<r>${'<!-- x -->'.repeat(5_000)}</r>`, 'text/xml'],
  ['quadratic attributes', `<r ${'a="1" '.repeat(8_000)}/>`, 'text/xml'],
  ['backtracking', `<${'a'.repeat(60_000)}`, 'text/xml'],
  ['percent signs', '%'.repeat(60_000), undefined],
  ['the largest body', 'x'.repeat(64 * 1_024), 'text/plain'],
];
