import type { ApiScope } from '../domain/api-key.ts';
import { AppError } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-names.ts';
import type { AddressRange } from '../security/addresses.ts';
import type { EncryptionKey } from '../security/keyring.ts';
import { Secret } from '../security/secret.ts';
import {
  type Environment,
  environmentSchema,
  type SoundEnvironment,
} from './environment-schema.ts';
import { findMisspelledVariables } from './misspelled-variables.ts';
import { rulesBroken } from './rules.ts';
import { type Variable, variables } from './variables.ts';
import type { LoadOptions } from './load-options.ts';

/** How one channel's signatures are treated. */
export interface SignatureConfig {
  readonly mode: 'off' | 'observe' | 'verify';
  readonly fields: readonly string[] | undefined;
}

/** The configuration of a process, by who uses it. Times in milliseconds. */
export interface Config {
  readonly database: { readonly poolSizeMax: number } & (
    | { readonly kind: 'url'; readonly url: string }
    | { readonly kind: 'embedded' }
  );
  readonly queue: {
    readonly backend: 'redis' | 'postgres';
    readonly redisUrls: readonly string[];
    readonly prefix: string;
    readonly concurrency: Readonly<Record<QueueName, number>>;
  };
  readonly gateway: {
    readonly environment: 'sandbox' | 'production';
    readonly checkoutUrl: string;
    readonly openApiUrl: string;
    /** Where credentials of the other environment are used. */
    readonly otherPlace: { readonly checkoutUrl: string; readonly openApiUrl: string };
    readonly oauthCallsPerSecondMax: number;
    readonly oauthSuccessCodes: readonly string[];
    readonly timeoutMs: number;
    readonly redirectHostAllowList: readonly string[];
    readonly successCodes: readonly string[];
    readonly retryableCodes: readonly string[];
    readonly notFoundCodes: readonly string[];
  };
  readonly credentials: {
    readonly acceptPayments:
      | {
          readonly account: string;
          readonly terminal: string;
          readonly secureCode: Secret;
          readonly secureCodePrevious: Secret | undefined;
          readonly publicKey: Secret | undefined;
        }
      | undefined;
    readonly opcard: { readonly appKey: Secret; readonly appSecret: Secret } | undefined;
    readonly opccount:
      | { readonly number: string; readonly vaCode: Secret; readonly privateKey: Secret }
      | undefined;
  };
  readonly encryptionKeys: readonly EncryptionKey[];
  readonly lifecycle: {
    readonly awaitingCustomerDeadlineMs: number;
    readonly reconcileScheduleMs: readonly number[];
    readonly scanIntervalMs: number;
    readonly resubmitPolicy: 'new-reference' | 'same-reference' | 'manual';
    readonly resubmissionsMax: number;
    readonly confirmPolicy: 'query' | 'signed';
    readonly orphanMaxAgeMs: number;
    readonly refusedCallbackMaxAgeMs: number;
    readonly unbelievedCallbackMaxAgeMs: number;
    readonly returnUrlHosts: readonly string[];
    readonly callbackPublicUrl: string | undefined;
    readonly expiryZone: string;
  };
  readonly accessToken: {
    readonly ttlMs: number;
    readonly skewMs: number;
    readonly dueFraction: number;
  };
  readonly signatures: {
    readonly redirect: SignatureConfig;
    readonly notify: SignatureConfig;
    readonly onBadNotifySignature: 'ack-and-quarantine' | 'reject';
  };
  /** Where events are delivered; undefined: nowhere. */
  readonly webhook:
    | { readonly url: string; readonly secrets: readonly Secret[]; readonly allowPrivate: boolean }
    | undefined;
  readonly webhookSchedule: {
    readonly attemptsMs: readonly number[];
    readonly disableAfterMs: number;
    readonly holdMaxAgeMs: number;
  };
  readonly publicHttp: {
    readonly host: string;
    readonly port: number;
    readonly trustProxy: boolean;
    /** Requests per minute and address. */
    readonly requestsPerMinuteMax: number;
    /** Addresses that may push; undefined: all of them. */
    readonly notifySources: readonly AddressRange[] | undefined;
  };
  readonly privateHttp: {
    readonly host: string;
    readonly port: number;
    readonly console: { readonly user: string; readonly passwordHash: Secret } | undefined;
    readonly api: {
      readonly keys: readonly {
        readonly name: string;
        readonly sha256: string;
        readonly scopes: readonly ApiScope[];
      }[];
      readonly requestsPerMinuteMax: number;
    };
  };
  readonly shutdownDeadlineMs: number;
  readonly logLevel: string;
}

/**
 * Reads the environment once. Throws `config_invalid` with every fault at once, one `NAME: what to change` per line; a value
 * is never shown, since it may be a secret in the wrong place.
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  options: LoadOptions = {},
): Config {
  const values = withFallbacks(env);
  const parsed = environmentSchema.safeParse(values);
  const issues = parsed.success ? [] : parsed.error.issues;
  const all = [
    ...issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    ...rulesBroken(
      parsed.success ? parsed.data : soundPart(values, issues),
      new Set(Object.keys(values)),
      options,
    ),
    ...findMisspelledVariables(Object.keys(env)),
  ];
  if (!parsed.success || all.length > 0) {
    throw new AppError(
      'config_invalid',
      `The configuration has to be mended:\n  ${all.join('\n  ')}`,
    );
  }
  return toConfig(parsed.data);
}

/** What can be said of the rest although some variables have faults, so that all faults are told at once. */
function soundPart(
  values: Readonly<Record<string, string>>,
  issues: readonly { readonly path: readonly PropertyKey[] }[],
): SoundEnvironment {
  const faulty = new Set(issues.map(({ path }) => path[0]));
  const sound = Object.entries(values).filter(([name]) => !faulty.has(name));
  return environmentSchema.partial().parse(Object.fromEntries(sound));
}

function withFallbacks(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(variables).map(([name, variable]: [string, Variable]) => {
    const value = env[name]?.trim();
    return [name, value === undefined || value === '' ? variable.fallback : value] as const;
  });
  return Object.fromEntries(
    entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined),
  );
}

const dailyMs = 86_400_000;
const dailyLooks = 5;

function toConfig(env: Environment): Config {
  return {
    database:
      env.DATABASE_URL === undefined
        ? { kind: 'embedded', poolSizeMax: env.DATABASE_POOL_SIZE }
        : { kind: 'url', url: env.DATABASE_URL, poolSizeMax: env.DATABASE_POOL_SIZE },
    queue: {
      backend: env.QUEUE_BACKEND ?? (env.REDIS_URL === undefined ? 'postgres' : 'redis'),
      redisUrls: env.REDIS_URL ?? [],
      prefix: env.QUEUE_PREFIX,
      concurrency: {
        tokenization: env.CONCURRENCY_TOKENIZATION,
        'callback-verification': env.CONCURRENCY_CALLBACK_VERIFICATION,
        notify: env.CONCURRENCY_NOTIFY,
        'access-token': env.CONCURRENCY_ACCESS_TOKEN,
        reconciliation: env.CONCURRENCY_RECONCILIATION,
        delivery: env.CONCURRENCY_DELIVERY,
        maintenance: env.CONCURRENCY_MAINTENANCE,
      },
    },
    gateway: gatewayOf(env),
    credentials: credentialsOf(env),
    encryptionKeys: env.ENCRYPTION_KEYS ?? [],
    lifecycle: {
      awaitingCustomerDeadlineMs: env.AWAITING_CUSTOMER_DEADLINE_MS,
      reconcileScheduleMs: [
        ...env.RECONCILE_SCHEDULE_MS,
        ...Array.from({ length: dailyLooks }, () => dailyMs),
      ],
      scanIntervalMs: env.SCAN_INTERVAL_MS,
      resubmitPolicy: env.RESUBMIT_POLICY,
      resubmissionsMax: env.RESUBMISSIONS_MAX,
      confirmPolicy: env.CONFIRM_POLICY,
      orphanMaxAgeMs: env.CALLBACK_ORPHAN_MAX_AGE_MS,
      refusedCallbackMaxAgeMs: env.CALLBACK_REFUSED_MAX_AGE_MS,
      unbelievedCallbackMaxAgeMs: env.CALLBACK_UNBELIEVED_MAX_AGE_MS,
      returnUrlHosts: env.RETURN_URL_HOSTS ?? [],
      callbackPublicUrl: env.CALLBACK_PUBLIC_URL,
      expiryZone: env.EXPIRY_ZONE,
    },
    accessToken: {
      ttlMs: env.ACCESS_TOKEN_TTL_MS,
      skewMs: env.ACCESS_TOKEN_SKEW_MS,
      dueFraction: env.ACCESS_TOKEN_DUE_FRACTION,
    },
    signatures: {
      redirect: { mode: env.REDIRECT_SIGNATURE_MODE, fields: env.REDIRECT_SIGNATURE_FIELDS },
      notify: { mode: env.NOTIFY_SIGNATURE_MODE, fields: env.NOTIFY_SIGNATURE_FIELDS },
      onBadNotifySignature: env.NOTIFY_ON_BAD_SIGNATURE,
    },
    webhook:
      env.MERCHANT_WEBHOOK_URL === undefined
        ? undefined
        : {
            url: env.MERCHANT_WEBHOOK_URL,
            secrets: (env.MERCHANT_WEBHOOK_SECRETS ?? []).map((secret) => new Secret(secret)),
            allowPrivate: env.MERCHANT_WEBHOOK_ALLOW_PRIVATE,
          },
    webhookSchedule: {
      attemptsMs: env.MERCHANT_WEBHOOK_SCHEDULE_MS,
      disableAfterMs: env.MERCHANT_WEBHOOK_DISABLE_AFTER_MS,
      holdMaxAgeMs: env.MERCHANT_WEBHOOK_HOLD_MAX_AGE_MS,
    },
    publicHttp: publicHttpOf(env),
    privateHttp: {
      host: env.OPS_HOST,
      port: env.OPS_PORT,
      console:
        env.CONSOLE_USER === undefined || env.CONSOLE_PASSWORD_HASH === undefined
          ? undefined
          : { user: env.CONSOLE_USER, passwordHash: new Secret(env.CONSOLE_PASSWORD_HASH) },
      api: { keys: env.API_KEYS ?? [], requestsPerMinuteMax: env.API_REQUESTS_PER_MINUTE },
    },
    shutdownDeadlineMs: env.SHUTDOWN_DEADLINE_MS,
    logLevel: env.LOG_LEVEL,
  };
}

function publicHttpOf(env: Environment): Config['publicHttp'] {
  return {
    host: env.CALLBACK_HOST,
    port: env.CALLBACK_PORT,
    trustProxy: env.TRUST_PROXY,
    requestsPerMinuteMax: env.CALLBACK_REQUESTS_PER_MINUTE,
    notifySources: env.NOTIFY_SOURCE_ALLOW_LIST,
  };
}

const checkoutUrls = {
  sandbox: 'https://checkout-s.oceanpayment.com',
  production: 'https://checkout.oceanpayment.com',
} as const;

function gatewayOf(env: Environment): Config['gateway'] {
  const base = checkoutUrls[env.OCEANPAYMENT_ENV];
  const otherBase = checkoutUrls[env.OCEANPAYMENT_ENV === 'sandbox' ? 'production' : 'sandbox'];
  return {
    environment: env.OCEANPAYMENT_ENV,
    checkoutUrl: env.OCEANPAYMENT_CHECKOUT_URL ?? base,
    openApiUrl: env.OCEANPAYMENT_OPEN_API_URL ?? `${base}/open-api/v1`,
    otherPlace: { checkoutUrl: otherBase, openApiUrl: `${otherBase}/open-api/v1` },
    oauthCallsPerSecondMax: env.OAUTH_CALLS_PER_SECOND_MAX,
    oauthSuccessCodes: env.OAUTH_SUCCESS_CODES,
    timeoutMs: env.GATEWAY_TIMEOUT_MS,
    redirectHostAllowList: env.REDIRECT_HOST_ALLOW_LIST,
    successCodes: env.GATEWAY_SUCCESS_CODES,
    retryableCodes: env.GATEWAY_RETRYABLE_CODES ?? [],
    notFoundCodes: env.GATEWAY_NOT_FOUND_CODES ?? [],
  };
}

function credentialsOf(env: Environment): Config['credentials'] {
  const secret = (value: string | undefined): Secret | undefined =>
    value === undefined ? undefined : new Secret(value);
  const secureCode = secret(env.OCEANPAYMENT_SECURE_CODE);
  const appKey = secret(env.OPCARD_APP_KEY);
  const appSecret = secret(env.OPCARD_APP_SECRET);
  const vaCode = secret(env.OPCCOUNT_VA_CODE);
  const privateKey = secret(env.OPCCOUNT_PRIVATE_KEY);
  const { OCEANPAYMENT_ACCOUNT: account, OCEANPAYMENT_TERMINAL: terminal } = env;
  return {
    acceptPayments:
      account === undefined || terminal === undefined || secureCode === undefined
        ? undefined
        : {
            account,
            terminal,
            secureCode,
            secureCodePrevious: secret(env.OCEANPAYMENT_SECURE_CODE_PREVIOUS),
            publicKey: secret(env.OCEANPAYMENT_PUBLIC_KEY),
          },
    opcard: appKey === undefined || appSecret === undefined ? undefined : { appKey, appSecret },
    opccount:
      env.OPCCOUNT_NO === undefined || vaCode === undefined || privateKey === undefined
        ? undefined
        : { number: env.OPCCOUNT_NO, vaCode, privateKey },
  };
}
