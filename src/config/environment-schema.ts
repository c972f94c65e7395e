import { z } from 'zod';
import { apiScopes, isApiScope } from '../domain/api-key.ts';
import { parseAddressRange } from '../security/addresses.ts';
import { encryptionKeyEntries } from '../security/encryption-keys.ts';
import { isPasswordHash } from '../security/password.ts';

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, { error: `give a whole number from ${min} to ${max}` })
    .transform(Number)
    .refine((value) => value >= min && value <= max, {
      error: `give a whole number from ${min} to ${max}`,
    });
const durationMs = (min: number) => wholeNumber(min, 366 * 86_400_000);
const port = wholeNumber(0, 65_535);
const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: `choose ${words.join(', ')}` });
const isTrue = oneOf(['true', 'false']).transform((value) => value === 'true');
const list = z
  .string()
  .transform((value) =>
    value
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((entries) => entries.length > 0, { error: 'name at least one entry', abort: true });
const concurrency = wholeNumber(1, 1_000);

/** Plain HTTP would carry the secure code in the clear; only a sandbox on this machine may be spoken to that way. */
const gatewayUrl = z.string().refine(
  (text) => {
    if (!URL.canParse(text)) return false;
    const { protocol, hostname } = new URL(text);
    const isLocal = ['localhost', '127.0.0.1', '[::1]', 'sandbox'].includes(hostname);
    return protocol === 'https:' || (protocol === 'http:' && isLocal);
  },
  { error: 'give an https URL (http only for localhost and a host named sandbox)' },
);
const webUrl = z.url({ protocol: /^https?$/, error: 'give an http or https URL' });
const webhookUrl = webUrl.refine(
  (text) => !URL.canParse(text) || new URL(text).username + new URL(text).password === '',
  { error: 'leave out user and password: they would not be sent; events are signed instead' },
);
const addressRanges = list
  .transform((entries) => entries.map(parseAddressRange))
  .refine((ranges) => !ranges.includes(undefined), {
    error: 'give addresses and ranges such as 192.0.2.0/24, comma-separated',
  })
  .transform((ranges) => ranges.filter((range) => range !== undefined));
const webhookSecrets = list.refine(
  (secrets) =>
    secrets.every((secret) => {
      const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64').length;
      return /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(secret) && bytes >= 24 && bytes <= 64;
    }),
  { error: 'give whsec_ and base64 of 24 to 64 bytes, comma-separated' },
);
const postgresUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^postgres(?:ql)?:$/.test(new URL(text).protocol), {
    error: 'give a URL of the form postgres://user:password@host:port/database',
  });
const redisUrls = list.refine(
  (urls) => urls.every((text) => URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol)),
  { error: 'give URLs of the form redis://host:port, comma-separated' },
);
const timeZone = z.string().refine(
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
const apiKeys = list
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
const signatureMode = oneOf(['off', 'observe', 'verify']);
const scheduleMs = list
  .refine((entries) => entries.every((entry) => /^\d{1,12}$/.test(entry)), {
    error: 'give milliseconds, comma-separated',
  })
  .transform((entries) => entries.map(Number));

/** The form of each variable. A variable that is absent or empty has its fallback, or is undefined. */
export const environmentSchema = z.object({
  NODE_ENV: z.string().optional(),
  DATABASE_URL: postgresUrl.optional(),
  DATABASE_POOL_SIZE: wholeNumber(2, 1_000),
  REDIS_URL: redisUrls.optional(),
  QUEUE_BACKEND: oneOf(['redis', 'postgres']).optional(),
  QUEUE_PREFIX: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, {
    error: 'use letters, digits, - and _, at most 64',
  }),
  OCEANPAYMENT_ENV: oneOf(['sandbox', 'production']),
  OCEANPAYMENT_CHECKOUT_URL: gatewayUrl.optional(),
  OCEANPAYMENT_OPEN_API_URL: gatewayUrl.optional(),
  OCEANPAYMENT_ACCOUNT: z
    .string()
    .regex(/^\d{6}$/, { error: 'give 6 digits' })
    .optional(),
  OCEANPAYMENT_TERMINAL: z
    .string()
    .regex(/^\d{8,12}$/, { error: 'give 8 to 12 digits' })
    .optional(),
  OCEANPAYMENT_SECURE_CODE: z.string().max(64, { error: 'give at most 64 characters' }).optional(),
  OCEANPAYMENT_SECURE_CODE_PREVIOUS: z
    .string()
    .max(64, { error: 'give at most 64 characters' })
    .optional(),
  OCEANPAYMENT_PUBLIC_KEY: z.string().optional(),
  OPCARD_APP_KEY: z.string().optional(),
  OPCARD_APP_SECRET: z.string().optional(),
  OPCCOUNT_NO: z.string().optional(),
  OPCCOUNT_VA_CODE: z.string().optional(),
  OPCCOUNT_PRIVATE_KEY: z.string().optional(),
  ENCRYPTION_KEYS: list.pipe(encryptionKeyEntries).optional(),
  API_KEYS: apiKeys.optional(),
  API_REQUESTS_PER_MINUTE: wholeNumber(1, 10_000_000),
  CONSOLE_USER: z.string().optional(),
  CONSOLE_PASSWORD_HASH: z
    .string()
    .refine(isPasswordHash, { error: 'give a hash printed by "token-worker keys password"' })
    .optional(),
  CALLBACK_HOST: z.string(),
  CALLBACK_PORT: port,
  CALLBACK_PUBLIC_URL: webUrl.optional(),
  CALLBACK_REQUESTS_PER_MINUTE: wholeNumber(1, 10_000_000),
  TRUST_PROXY: isTrue,
  RETURN_URL_HOSTS: list.optional(),
  OPS_HOST: z.string(),
  OPS_PORT: port,
  GATEWAY_TIMEOUT_MS: wholeNumber(100, 15_000),
  GATEWAY_SUCCESS_CODES: list,
  GATEWAY_RETRYABLE_CODES: list.optional(),
  GATEWAY_NOT_FOUND_CODES: list.optional(),
  OAUTH_SUCCESS_CODES: list,
  OAUTH_CALLS_PER_SECOND_MAX: wholeNumber(1, 1_000),
  REDIRECT_HOST_ALLOW_LIST: list,
  AWAITING_CUSTOMER_DEADLINE_MS: durationMs(1_000),
  CALLBACK_ORPHAN_MAX_AGE_MS: durationMs(1_000),
  CALLBACK_REFUSED_MAX_AGE_MS: durationMs(1_000),
  CALLBACK_UNBELIEVED_MAX_AGE_MS: durationMs(1_000),
  RECONCILE_SCHEDULE_MS: scheduleMs,
  SCAN_INTERVAL_MS: wholeNumber(100, 3_600_000),
  RESUBMIT_POLICY: oneOf(['new-reference', 'same-reference', 'manual']),
  RESUBMISSIONS_MAX: wholeNumber(0, 5),
  CONFIRM_POLICY: oneOf(['query', 'signed']),
  EXPIRY_ZONE: timeZone,
  ACCESS_TOKEN_TTL_MS: durationMs(1_000),
  ACCESS_TOKEN_SKEW_MS: durationMs(0),
  ACCESS_TOKEN_DUE_FRACTION: z
    .string()
    .regex(/^0?\.\d{1,6}$/, { error: 'give a number between 0 and 1' })
    .transform(Number)
    .refine((value) => value >= 0.1 && value <= 0.95, { error: 'give a number from 0.1 to 0.95' }),
  REDIRECT_SIGNATURE_MODE: signatureMode,
  REDIRECT_SIGNATURE_FIELDS: list.optional(),
  NOTIFY_SIGNATURE_MODE: signatureMode,
  NOTIFY_SIGNATURE_FIELDS: list.optional(),
  NOTIFY_SOURCE_ALLOW_LIST: addressRanges.optional(),
  NOTIFY_ON_BAD_SIGNATURE: oneOf(['ack-and-quarantine', 'reject']),
  MERCHANT_WEBHOOK_URL: webhookUrl.optional(),
  MERCHANT_WEBHOOK_SECRETS: webhookSecrets.optional(),
  MERCHANT_WEBHOOK_ALLOW_PRIVATE: isTrue,
  MERCHANT_WEBHOOK_SCHEDULE_MS: scheduleMs,
  MERCHANT_WEBHOOK_DISABLE_AFTER_MS: durationMs(1_000),
  MERCHANT_WEBHOOK_HOLD_MAX_AGE_MS: durationMs(1_000),
  CONCURRENCY_TOKENIZATION: concurrency,
  CONCURRENCY_CALLBACK_VERIFICATION: concurrency,
  CONCURRENCY_NOTIFY: concurrency,
  CONCURRENCY_ACCESS_TOKEN: concurrency,
  CONCURRENCY_RECONCILIATION: concurrency,
  CONCURRENCY_DELIVERY: concurrency,
  CONCURRENCY_MAINTENANCE: concurrency,
  SHUTDOWN_DEADLINE_MS: wholeNumber(1_000, 600_000),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
});

/** The variables after parsing. */
export type Environment = z.output<typeof environmentSchema>;

/** The variables that have no fault of their own. */
export type SoundEnvironment = {
  readonly [Name in keyof Environment]?: Environment[Name] | undefined;
};
