import { z } from 'zod';
import { isBaseUrl } from '../domain/base-url.ts';
import { isCallbackBase } from '../domain/callback-url.ts';
import type { StatusMap } from '../domain/status-words.ts';
import { apiScopes, isApiScope } from '../domain/api-key.ts';
import { parseAddressRange } from '../security/addresses.ts';
import { encryptionKeyEntries } from '../security/encryption-keys.ts';
import { isPasswordHash } from '../security/password.ts';
import { Secret } from '../security/secret.ts';

export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, { error: `give a whole number from ${min} to ${max}` })
    .transform(Number)
    .refine((value) => value >= min && value <= max, {
      error: `give a whole number from ${min} to ${max}`,
    });
export const durationMs = (min: number) => wholeNumber(min, 366 * 86_400_000);
export const port = wholeNumber(0, 65_535);
export const requestsPerMinute = wholeNumber(1, 10_000_000);
export const fraction = (min: number, max: number) =>
  z
    .string()
    .regex(/^0?\.\d{1,6}$/, { error: 'give a number between 0 and 1' })
    .transform(Number)
    .refine((value) => value >= min && value <= max, {
      error: `give a number from ${min} to ${max}`,
    });

export const text = z.string();
export const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: `choose ${words.join(', ')}` });
export const isTrue = oneOf(['true', 'false']).transform((value) => value === 'true');
export const digits = (min: number, max: number) =>
  text.regex(new RegExp(`^\\d{${min},${max}}$`), {
    error: min === max ? `give ${min} digits` : `give ${min} to ${max} digits`,
  });
export const secret = text.transform((value) => new Secret(value));
export const secureCode = text
  .max(64, { error: 'give at most 64 characters' })
  .transform((value) => new Secret(value));
export const passwordHash = text
  .refine(isPasswordHash, { error: 'give a hash printed by "token-worker keys password"' })
  .transform((value) => new Secret(value));
export const queuePrefix = text.regex(/^[A-Za-z0-9_-]{1,64}$/, {
  error: 'use letters, digits, - and _, at most 64',
});
export const timeZone = text.refine(
  (zone) => {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone }).format();
      return true;
    } catch {
      return false;
    }
  },
  { error: 'give an IANA time zone such as Asia/Shanghai' },
);

/** The rule of a URL to which the worker appends a path. */
const plainBase = {
  error: 'leave out query, fragment, user and password: the worker appends a path to this URL',
  abort: true,
};

/** Plain HTTP would carry the secure code in the clear, so only a local sandbox may use it. */
export const gatewayUrl = text
  .refine(
    (url) => {
      if (!URL.canParse(url)) return false;
      const { protocol, hostname } = new URL(url);
      const isLocal = ['localhost', '127.0.0.1', '[::1]', 'sandbox'].includes(hostname);
      return protocol === 'https:' || (protocol === 'http:' && isLocal);
    },
    { error: 'give an https URL (http only for localhost and a host named sandbox)', abort: true },
  )
  .refine(isBaseUrl, plainBase);
export const webUrl = z.url({ protocol: /^https?$/, error: 'give an http or https URL' });
/** The serialized form: the URL as typed may hold line breaks, or a host in another script. */
export const callbackBase = webUrl
  .refine((url) => !URL.canParse(url) || isBaseUrl(url), plainBase)
  .refine((url) => !URL.canParse(url) || isCallbackBase(url), {
    error: 'leave out /callbacks/notify or /callbacks/redirect: the worker appends the route',
    abort: true,
  })
  .transform((url) => new URL(url).href);
/** A proxy without a scheme speaks plain HTTP, as for curl. */
export const proxyUrl = text
  .transform((value) => (/^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}`))
  .refine((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol), {
    error: 'give a proxy of the form http://host:port',
  });
export const webhookUrl = webUrl.refine(
  (url) => !URL.canParse(url) || new URL(url).username + new URL(url).password === '',
  { error: 'leave out user and password: they would not be sent; events are signed instead' },
);
export const postgresUrl = text.refine(
  (url) => URL.canParse(url) && /^postgres(?:ql)?:$/.test(new URL(url).protocol),
  { error: 'give a URL of the form postgres://user:password@host:port/database' },
);

export const list = text
  .transform((value) =>
    value
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((entries) => entries.length > 0, { error: 'name at least one entry', abort: true });
const formats = ['xml', 'json', 'form', 'multipart'] as const;
export const callbackFormats = list
  .refine((entries) => entries.every((entry) => formats.some((format) => format === entry)), {
    error: `name any of ${formats.join(', ')}, comma-separated`,
  })
  .transform((entries) => formats.filter((format) => entries.includes(format)));
const nodes = ['order', 'merchant', 'billing', 'customer'] as const;
const optionalNodes = ['device', 'subscription', 'customer_info', 'voucher_info'] as const;
export const requestNodes = list
  .refine(
    (entries) =>
      entries.every((entry) => [...nodes, ...optionalNodes].some((node) => node === entry)),
    { error: `name any of ${[...nodes, ...optionalNodes].join(', ')}, comma-separated` },
  )
  .transform((entries) => optionalNodes.filter((node) => entries.includes(node)));
export const scheduleMs = list
  .refine((entries) => entries.every((entry) => /^\d{1,12}$/.test(entry)), {
    error: 'give milliseconds, comma-separated',
  })
  .transform((entries) => entries.map(Number));
const statusMeanings = ['active', 'failed', 'pending'] as const;
/** Words of printable characters that neither the list nor the pair needs. */
const statusWord = /^([\x21-\x2b\x2d-\x3c\x3e-\x7e]{1,32})=(active|failed|pending)$/;
export const statusMap = list
  .refine((entries) => entries.every((entry) => statusWord.test(entry)), {
    error: `give word=meaning, comma-separated, with a meaning of ${statusMeanings.join(', ')}`,
    abort: true,
  })
  .transform((entries) => entries.map((entry) => entry.split('=')))
  .refine((pairs) => new Set(pairs.map(([word]) => word)).size === pairs.length, {
    error: 'name each word once',
  })
  .refine((pairs) => pairs.some(([, meaning]) => meaning === 'active'), {
    error: 'name a word for active',
  })
  .transform((pairs): StatusMap =>
    Object.fromEntries(
      pairs.flatMap(([word = '', given]) => {
        const meaning = statusMeanings.find((known) => known === given);
        return meaning === undefined ? [] : [[word, meaning]];
      }),
    ),
  );
export const encryptionKeys = list.pipe(encryptionKeyEntries);
export const addressRanges = list
  .transform((entries) => entries.map(parseAddressRange))
  .refine((ranges) => !ranges.includes(undefined), {
    error: 'give addresses and ranges such as 192.0.2.0/24, comma-separated',
  })
  .transform((ranges) => ranges.filter((range) => range !== undefined));
export const webhookSecrets = list
  .refine(
    (secrets) =>
      secrets.every((entry) => {
        const bytes = Buffer.from(entry.slice('whsec_'.length), 'base64').length;
        return /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(entry) && bytes >= 24 && bytes <= 64;
      }),
    { error: 'give whsec_ and base64 of 24 to 64 bytes, comma-separated' },
  )
  .transform((secrets) => secrets.map((entry) => new Secret(entry)));
export const apiKeys = list
  .refine(
    (entries) =>
      entries.every((entry) => /^[a-z0-9_-]{1,32}:[0-9a-f]{64}(?::[a-z+]+)?$/i.test(entry)),
    { error: 'give name:sha256 in hex or name:sha256:scopes, comma-separated', abort: true },
  )
  .transform((entries) =>
    entries.map((entry) => {
      const [name = '', sha256 = '', scopes] = entry.split(':');
      return { name, sha256: sha256.toLowerCase(), scopes: scopes?.split('+') ?? [...apiScopes] };
    }),
  )
  .refine((keys) => keys.every(({ scopes }) => scopes.every(isApiScope)), {
    error: `name scopes of ${apiScopes.join(', ')}, joined by +`,
    abort: true,
  })
  .refine((keys) => new Set(keys.map(({ name }) => name)).size === keys.length, {
    error: 'give each key a name of its own',
  })
  .transform((keys) => keys.map((key) => ({ ...key, scopes: key.scopes.filter(isApiScope) })));
