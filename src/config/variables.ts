import type { QueueName } from '../domain/queue-names.ts';
import {
  addressRanges,
  apiKeys,
  digits,
  encryptionKeys,
  isTrue,
  oneOf,
  passwordHash,
  port,
  postgresUrl,
  queuePrefix,
  requestsPerMinute,
  secret,
  secureCode,
  text,
  wholeNumber,
} from './forms.ts';
import { gatewayVariables } from './gateway-variables.ts';
import { jobVariables } from './job-variables.ts';
import { redisSentinels, redisUrls } from './redis-forms.ts';
import { allOrNone, secretVariable, variable } from './variable.ts';
import { webhookVariables } from './webhook-variables.ts';

/** The credentials that the environment may hold, one of each family. */
const credentialVariables = {
  acceptPayments: allOrNone({
    account: variable('OCEANPAYMENT_ACCOUNT', digits(6, 6), 'Accept Payments account, 6 digits'),
    terminal: variable(
      'OCEANPAYMENT_TERMINAL',
      digits(8, 12),
      'Accept Payments terminal, 8 to 12 digits',
    ),
    secureCode: secretVariable(
      'OCEANPAYMENT_SECURE_CODE',
      secureCode,
      'Accept Payments secure code',
    ),
    secureCodePrevious: secretVariable(
      'OCEANPAYMENT_SECURE_CODE_PREVIOUS',
      secureCode.optional(),
      'the former secure code, which still verifies signatures during a rotation',
    ),
    publicKey: secretVariable(
      'OCEANPAYMENT_PUBLIC_KEY',
      secret.optional(),
      'Accept Payments public key',
    ),
  }),
  opcard: allOrNone({
    appKey: secretVariable('OPCARD_APP_KEY', secret, 'OPCard developer id'),
    appSecret: secretVariable('OPCARD_APP_SECRET', secret, 'OPCard developer secret'),
  }),
  opccount: allOrNone({
    number: variable('OPCCOUNT_NO', text, 'OPCCOUNT account number'),
    vaCode: secretVariable('OPCCOUNT_VA_CODE', secret, 'OPCCOUNT merchant identifier'),
    privateKey: secretVariable('OPCCOUNT_PRIVATE_KEY', secret, 'OPCCOUNT private key'),
  }),
};

const publicHttpVariables = {
  host: variable('CALLBACK_HOST', text.prefault('0.0.0.0'), 'address of the public listener'),
  port: variable('CALLBACK_PORT', port.prefault('8080'), 'port of the public listener'),
  requestsPerMinuteMax: variable(
    'CALLBACK_REQUESTS_PER_MINUTE',
    requestsPerMinute.prefault('3000'),
    'requests that one address, or one IPv6 network of 64 bits, may send to the callback routes of one process in a minute',
  ),
  trustProxy: variable(
    'TRUST_PROXY',
    isTrue.prefault('false'),
    '`true` when a proxy in front sets X-Forwarded-For',
  ),
  notifySources: variable(
    'NOTIFY_SOURCE_ALLOW_LIST',
    addressRanges.optional(),
    'addresses and CIDR ranges that may push, comma-separated; without it, all. Behind a proxy it needs `TRUST_PROXY`',
  ),
  acknowledgement: variable(
    'NOTIFY_ACK_BODY',
    text.max(100).prefault('receive-ok'),
    'body of the answer to a push that was stored',
  ),
  onBadNotifySignature: variable(
    'NOTIFY_ON_BAD_SIGNATURE',
    oneOf(['ack-and-quarantine', 'reject']).prefault('ack-and-quarantine'),
    '`ack-and-quarantine`, or `reject` while an account is set up',
  ),
};

const privateHttpVariables = {
  host: variable('OPS_HOST', text.prefault('127.0.0.1'), 'address of the private listener'),
  port: variable('OPS_PORT', port.prefault('9090'), 'port of the private listener'),
  api: {
    keys: secretVariable(
      'API_KEYS',
      apiKeys.default([]),
      '`name:sha256 in hex` of the keys that the HTTP API takes, or `name:sha256:scopes` with scopes joined by `+`; `token-worker api-keys add` stores further ones',
    ),
    requestsPerMinuteMax: variable(
      'API_REQUESTS_PER_MINUTE',
      requestsPerMinute.prefault('6000'),
      'requests that one key may send to one process in a minute',
    ),
  },
  console: allOrNone({
    user: variable('CONSOLE_USER', text, 'login of `/queues`; off without it'),
    passwordHash: secretVariable(
      'CONSOLE_PASSWORD_HASH',
      passwordHash,
      '`scrypt$N$r$p$salt$hash`, printed by `token-worker keys password`',
    ),
  }),
};

const concurrencyOf = <const Name extends string>(queue: QueueName, name: Name, jobs: string) =>
  variable(name, wholeNumber(1, 1_000).prefault(jobs), `concurrent jobs, queue \`${queue}\``);

/**
 * Every environment variable that the worker reads, by the part of the worker that takes it. Types,
 * defaults and docs/configuration.md are derived from these declarations.
 */
export const variables = {
  nodeEnv: variable('NODE_ENV', text.optional(), '`production` refuses the embedded database'),
  database: {
    url: secretVariable(
      'DATABASE_URL',
      postgresUrl.optional(),
      'PostgreSQL 15 or newer; without it the worker starts an embedded server, outside production',
    ),
    listenUrl: secretVariable(
      'LISTEN_DATABASE_URL',
      postgresUrl.optional(),
      'the same database without a pooler, where `DATABASE_URL` leads to one such as PgBouncer: for LISTEN, queues on PostgreSQL and `migrate`',
    ),
    poolSizeMax: variable(
      'DATABASE_POOL_SIZE',
      wholeNumber(2, 1_000).prefault('10'),
      'connections to PostgreSQL',
    ),
  },
  queue: {
    redis: {
      urls: secretVariable(
        'REDIS_URL',
        redisUrls.default([]),
        '`redis://` or `rediss://` with `user:password@host:port/database`; of a cluster one address or a comma-separated list. With Sentinels, only user, password, database and TLS count',
      ),
      sentinels: allOrNone({
        addresses: secretVariable(
          'REDIS_SENTINELS',
          redisSentinels,
          '`host:port` of the Sentinels, comma-separated; `redis://user:password@host:port` where they ask for a login, `rediss://` for TLS',
        ),
        name: variable(
          'REDIS_SENTINEL_NAME',
          text,
          'name under which the Sentinels know the primary',
        ),
      }),
    },
    backend: variable(
      'QUEUE_BACKEND',
      oneOf(['redis', 'postgres']).optional(),
      '`redis` (when `REDIS_URL` or `REDIS_SENTINELS` is set) or `postgres`',
    ),
    prefix: variable(
      'QUEUE_PREFIX',
      queuePrefix.prefault('token-lifecycle'),
      "prefix of BullMQ's keys in Redis",
    ),
    concurrency: {
      tokenization: concurrencyOf('tokenization', 'CONCURRENCY_TOKENIZATION', '256'),
      'callback-verification': concurrencyOf(
        'callback-verification',
        'CONCURRENCY_CALLBACK_VERIFICATION',
        '64',
      ),
      notify: concurrencyOf('notify', 'CONCURRENCY_NOTIFY', '64'),
      'access-token': concurrencyOf('access-token', 'CONCURRENCY_ACCESS_TOKEN', '16'),
      reconciliation: concurrencyOf('reconciliation', 'CONCURRENCY_RECONCILIATION', '128'),
      delivery: concurrencyOf('delivery', 'CONCURRENCY_DELIVERY', '16'),
      maintenance: concurrencyOf('maintenance', 'CONCURRENCY_MAINTENANCE', '1'),
    },
  },
  gateway: gatewayVariables,
  credentials: credentialVariables,
  encryptionKeys: secretVariable(
    'ENCRYPTION_KEYS',
    encryptionKeys.default([]),
    '`id:base64 of 32 bytes`, comma-separated; the first one seals, all of them open',
  ),
  publicHttp: publicHttpVariables,
  privateHttp: privateHttpVariables,
  jobs: jobVariables,
  webhook: webhookVariables,
  shutdownDeadlineMs: variable(
    'SHUTDOWN_DEADLINE_MS',
    wholeNumber(1_000, 600_000).prefault('25000'),
    'how long a graceful shutdown may take; calls in flight may finish until 3 s before its end',
  ),
  logLevel: variable(
    'LOG_LEVEL',
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).prefault('info'),
    '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
  ),
  /** Accepted so that its name is not reported as misspelled; no code reads it. */
  tracesEndpoint: variable(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    text.optional(),
    'reserved: accepted and without effect, since the worker exports no traces',
  ),
};
