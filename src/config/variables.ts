import type { QueueName } from '../domain/queue-names.ts';
import {
  addressRanges,
  apiKeys,
  digits,
  encryptionKeys,
  gatewayUrl,
  isTrue,
  list,
  oneOf,
  passwordHash,
  port,
  postgresUrl,
  queuePrefix,
  requestNodes,
  requestsPerMinute,
  secret,
  secureCode,
  statusMap,
  text,
  webhookSecrets,
  webhookUrl,
  wholeNumber,
} from './forms.ts';
import { jobVariables } from './job-variables.ts';
import { redisSentinels, redisUrls } from './redis-forms.ts';
import { allOrNone, secretVariable, variable } from './variable.ts';

const gatewayVariables = {
  environment: variable(
    'OCEANPAYMENT_ENV',
    oneOf(['sandbox', 'production']).prefault('sandbox'),
    '`sandbox` or `production`',
  ),
  checkoutUrl: variable(
    'OCEANPAYMENT_CHECKOUT_URL',
    gatewayUrl.optional(),
    'base of the JSON API, in place of that of `OCEANPAYMENT_ENV`',
  ),
  openApiUrl: variable(
    'OCEANPAYMENT_OPEN_API_URL',
    gatewayUrl.optional(),
    'base of the OAuth calls, in place of that of `OCEANPAYMENT_ENV`',
  ),
  site: variable(
    'OCEANPAYMENT_SITE',
    text.optional(),
    "the shop's host as registered with the gateway, for its check of the account; without it, the host of `CALLBACK_PUBLIC_URL`",
  ),
  timeoutMs: variable(
    'GATEWAY_TIMEOUT_MS',
    wholeNumber(100, 15_000).prefault('10000'),
    'deadline of one call to the gateway',
  ),
  successCodes: variable(
    'GATEWAY_SUCCESS_CODES',
    list.prefault('000'),
    'codes of the JSON API that mean success',
  ),
  retryableCodes: variable(
    'GATEWAY_RETRYABLE_CODES',
    list.default([]),
    'codes after which the outcome is still unknown',
  ),
  notFoundCodes: variable(
    'GATEWAY_NOT_FOUND_CODES',
    list.default([]),
    'codes by which a query says that it knows nothing; without it, every code but success',
  ),
  statusMap: variable(
    'GATEWAY_STATUS_MAP',
    statusMap.prefault('1=active,0=failed,-1=pending'),
    'status words of tokens, in replies and messages alike, as `word=meaning`; a meaning is `active`, `failed` or `pending`. After any other word the worker queries again',
  ),
  oauthSuccessCodes: variable(
    'OAUTH_SUCCESS_CODES',
    list.prefault('000,200,0'),
    'codes of the OAuth calls that mean success',
  ),
  accessTokenPaths: variable(
    'OAUTH_ACCESS_TOKEN_PATHS',
    list.prefault('data.access_token,data.accessToken,data.token,access_token,accessToken,token'),
    'where an OAuth reply may hold the access token; the first path with a text counts',
  ),
  refreshTokenPaths: variable(
    'OAUTH_REFRESH_TOKEN_PATHS',
    list.prefault('data.refresh_token,data.refreshToken,refresh_token,refreshToken'),
    'where an OAuth reply may hold the refresh token',
  ),
  expiresInPaths: variable(
    'OAUTH_EXPIRES_IN_PATHS',
    list.prefault('data.expires_in,data.expiresIn,expires_in,expiresIn'),
    'where an OAuth reply may hold the life of the access token in seconds',
  ),
  refreshTokenPolicy: variable(
    'OAUTH_REFRESH_TOKEN_POLICY',
    oneOf(['replace-if-present', 'keep']).prefault('replace-if-present'),
    'what a renewal does to the refresh token: `replace-if-present` by that of the reply, or `keep` the first one',
  ),
  requiredNodes: variable(
    'GATEWAY_REQUIRED_NODES',
    requestNodes.prefault('order,merchant,billing,customer'),
    'nodes that every creation has; of `device`, `subscription`, `customer_info` and `voucher_info`, those that a backend leaves out are sent empty',
  ),
  oauthCallsPerSecondMax: variable(
    'OAUTH_CALLS_PER_SECOND_MAX',
    wholeNumber(1, 1_000).prefault('5'),
    'OAuth calls that all workers together make to one host in a second',
  ),
  redirectHostAllowList: variable(
    'REDIRECT_HOST_ALLOW_LIST',
    list.prefault('*.oceanpayment.com'),
    'hosts that a customer may be sent to',
  ),
};

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
  variable(name, wholeNumber(1, 1_000).prefault(jobs), `jobs at once, queue \`${queue}\``);

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
      tokenization: concurrencyOf('tokenization', 'CONCURRENCY_TOKENIZATION', '32'),
      'callback-verification': concurrencyOf(
        'callback-verification',
        'CONCURRENCY_CALLBACK_VERIFICATION',
        '32',
      ),
      notify: concurrencyOf('notify', 'CONCURRENCY_NOTIFY', '32'),
      'access-token': concurrencyOf('access-token', 'CONCURRENCY_ACCESS_TOKEN', '16'),
      reconciliation: concurrencyOf('reconciliation', 'CONCURRENCY_RECONCILIATION', '32'),
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
  webhook: {
    url: secretVariable(
      'MERCHANT_WEBHOOK_URL',
      webhookUrl.optional(),
      'where events are delivered: https, or http with `MERCHANT_WEBHOOK_ALLOW_PRIVATE`',
    ),
    secrets: secretVariable(
      'MERCHANT_WEBHOOK_SECRETS',
      webhookSecrets.default([]),
      '`whsec_` secrets, comma-separated; each of them signs, so that a rotation has no gap',
    ),
    allowPrivate: variable(
      'MERCHANT_WEBHOOK_ALLOW_PRIVATE',
      isTrue.prefault('false'),
      '`true` delivers to private addresses and over plain http too',
    ),
  },
  shutdownDeadlineMs: variable(
    'SHUTDOWN_DEADLINE_MS',
    wholeNumber(1_000, 600_000).prefault('25000'),
    'how long an ordered stop may take; calls that are on their way may finish until 3 s before',
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
