/** One environment variable. */
export interface Variable {
  readonly meaning: string;
  /** As text; undefined where there is none. */
  readonly fallback?: string;
  /** Whether its value must never be shown. */
  readonly isSecret?: true;
}

/** Every environment variable that the worker reads. Nothing else in the project reads the environment. */
export const variables = {
  NODE_ENV: { meaning: '`production` refuses the embedded database' },
  DATABASE_URL: {
    meaning: 'PostgreSQL 15 or newer; without it an embedded server is used, outside production',
    isSecret: true,
  },
  DATABASE_POOL_SIZE: { meaning: 'connections to PostgreSQL', fallback: '10' },
  REDIS_URL: {
    meaning: '`redis://` or `rediss://`; a comma-separated list names the nodes of a cluster',
    isSecret: true,
  },
  QUEUE_BACKEND: { meaning: '`redis` (when `REDIS_URL` is set) or `postgres`' },
  QUEUE_PREFIX: { meaning: "prefix of BullMQ's keys in Redis", fallback: 'token-lifecycle' },
  OCEANPAYMENT_ENV: { meaning: '`sandbox` or `production`', fallback: 'sandbox' },
  OCEANPAYMENT_CHECKOUT_URL: {
    meaning: 'base of the JSON API, in place of that of `OCEANPAYMENT_ENV`',
  },
  OCEANPAYMENT_OPEN_API_URL: {
    meaning: 'base of the OAuth calls, in place of that of `OCEANPAYMENT_ENV`',
  },
  OCEANPAYMENT_ACCOUNT: { meaning: 'Accept Payments account, 6 digits' },
  OCEANPAYMENT_TERMINAL: { meaning: 'Accept Payments terminal, 8 to 12 digits' },
  OCEANPAYMENT_SECURE_CODE: { meaning: 'Accept Payments secure code', isSecret: true },
  OCEANPAYMENT_SECURE_CODE_PREVIOUS: {
    meaning: 'the former secure code, which still verifies signatures during a rotation',
    isSecret: true,
  },
  OCEANPAYMENT_PUBLIC_KEY: { meaning: 'Accept Payments public key', isSecret: true },
  OPCARD_APP_KEY: { meaning: 'OPCard developer id', isSecret: true },
  OPCARD_APP_SECRET: { meaning: 'OPCard developer secret', isSecret: true },
  OPCCOUNT_NO: { meaning: 'OPCCOUNT account number' },
  OPCCOUNT_VA_CODE: { meaning: 'OPCCOUNT merchant identifier', isSecret: true },
  OPCCOUNT_PRIVATE_KEY: { meaning: 'OPCCOUNT private key', isSecret: true },
  ENCRYPTION_KEYS: {
    meaning: '`id:base64 of 32 bytes`, comma-separated; the first one seals, all of them open',
    isSecret: true,
  },
  API_KEYS: {
    meaning:
      '`name:sha256 in hex` of the keys that the HTTP API takes, or `name:sha256:scopes` with scopes joined by `+`; further keys are stored with `token-worker keys api-add`',
    isSecret: true,
  },
  API_REQUESTS_PER_MINUTE: {
    meaning: 'requests that one key may send to one process in a minute',
    fallback: '6000',
  },
  CONSOLE_USER: { meaning: 'login of `/queues`; off without it' },
  CONSOLE_PASSWORD_HASH: {
    meaning: '`scrypt$N$r$p$salt$hash`, printed by `token-worker keys password`',
    isSecret: true,
  },
  CALLBACK_HOST: { meaning: 'address of the public listener', fallback: '0.0.0.0' },
  CALLBACK_PORT: { meaning: 'port of the public listener', fallback: '8080' },
  CALLBACK_PUBLIC_URL: {
    meaning: 'base of the callback routes as the gateway and browsers see it',
  },
  CALLBACK_REQUESTS_PER_MINUTE: {
    meaning:
      'requests that one address, or one IPv6 network of 64 bits, may send to the callback routes of one process in a minute',
    fallback: '3000',
  },
  CALLBACK_ORPHAN_MAX_AGE_MS: {
    meaning: 'how long a message waits for its tokenization before it is given up with an alarm',
    fallback: '86400000',
  },
  CALLBACK_REFUSED_MAX_AGE_MS: {
    meaning: 'how long messages that are unreadable or name an unknown account are kept',
    fallback: '604800000',
  },
  CALLBACK_UNBELIEVED_MAX_AGE_MS: {
    meaning:
      'how long messages that were rejected, given up or changed nothing are kept after that, unless their signature proves them',
    fallback: '259200000',
  },
  TRUST_PROXY: {
    meaning: '`true` when a proxy in front sets X-Forwarded-For',
    fallback: 'false',
  },
  RETURN_URL_HOSTS: {
    meaning: 'hosts that `returnUrl` may name; `*.example.com` for all below it',
  },
  OPS_HOST: { meaning: 'address of the private listener', fallback: '127.0.0.1' },
  OPS_PORT: { meaning: 'port of the private listener', fallback: '9090' },
  GATEWAY_TIMEOUT_MS: { meaning: 'deadline of one call to the gateway', fallback: '10000' },
  GATEWAY_SUCCESS_CODES: { meaning: 'codes of the JSON API that mean success', fallback: '000' },
  GATEWAY_RETRYABLE_CODES: { meaning: 'codes that settle nothing' },
  GATEWAY_NOT_FOUND_CODES: {
    meaning:
      'codes by which a query says that it knows nothing; without it, every code but success',
  },
  OAUTH_SUCCESS_CODES: {
    meaning: 'codes of the OAuth calls that mean success',
    fallback: '000,200,0',
  },
  OAUTH_CALLS_PER_SECOND_MAX: {
    meaning: 'OAuth calls that one process makes to one host in a second',
    fallback: '5',
  },
  REDIRECT_HOST_ALLOW_LIST: {
    meaning: 'hosts that a customer may be sent to',
    fallback: '*.oceanpayment.com',
  },
  AWAITING_CUSTOMER_DEADLINE_MS: {
    meaning: 'how long a customer may take',
    fallback: '86400000',
  },
  RECONCILE_SCHEDULE_MS: {
    meaning: 'waits between two queries of one tokenization; five daily ones follow',
    fallback: '5000,30000,120000,600000,3600000',
  },
  SCAN_INTERVAL_MS: { meaning: 'how often due work is looked for', fallback: '5000' },
  RESUBMIT_POLICY: {
    meaning:
      'what follows when the gateway says twice that it knows nothing of a lost request: `new-reference`, `same-reference` or `manual`',
    fallback: 'new-reference',
  },
  RESUBMISSIONS_MAX: {
    meaning: 'how often one lost request is sent again before a person has to look',
    fallback: '3',
  },
  CONFIRM_POLICY: {
    meaning: '`query` before every activation, or `signed`: a proven push is enough',
    fallback: 'query',
  },
  EXPIRY_ZONE: { meaning: 'time zone of the gateway`s expiry dates', fallback: 'Asia/Shanghai' },
  ACCESS_TOKEN_TTL_MS: {
    meaning: 'life of an access token when the reply names none',
    fallback: '3600000',
  },
  ACCESS_TOKEN_SKEW_MS: {
    meaning: 'margin before expiry; smaller where the reply names a short life',
    fallback: '60000',
  },
  ACCESS_TOKEN_DUE_FRACTION: {
    meaning: 'share of its life after which a token is renewed',
    fallback: '0.75',
  },
  REDIRECT_SIGNATURE_MODE: { meaning: '`off`, `observe` or `verify`', fallback: 'observe' },
  REDIRECT_SIGNATURE_FIELDS: { meaning: 'ordered field list that redirects are signed over' },
  NOTIFY_SIGNATURE_MODE: { meaning: '`off`, `observe` or `verify`', fallback: 'observe' },
  NOTIFY_SIGNATURE_FIELDS: { meaning: 'ordered field list that pushes are signed over' },
  NOTIFY_SOURCE_ALLOW_LIST: {
    meaning:
      'addresses and CIDR ranges that may push, comma-separated; without it, all. Behind a proxy it needs `TRUST_PROXY`',
  },
  NOTIFY_ON_BAD_SIGNATURE: {
    meaning: '`ack-and-quarantine`, or `reject` while an account is set up',
    fallback: 'ack-and-quarantine',
  },
  MERCHANT_WEBHOOK_URL: {
    meaning: 'where events are delivered: https, or http with `MERCHANT_WEBHOOK_ALLOW_PRIVATE`',
    isSecret: true,
  },
  MERCHANT_WEBHOOK_SECRETS: {
    meaning: '`whsec_` secrets, comma-separated; each of them signs, so that a rotation has no gap',
    isSecret: true,
  },
  MERCHANT_WEBHOOK_ALLOW_PRIVATE: {
    meaning: '`true` delivers to private addresses and over plain http too',
    fallback: 'false',
  },
  MERCHANT_WEBHOOK_SCHEDULE_MS: {
    meaning: 'waits before each attempt to deliver an event, spread by 20 %',
    fallback: '0,5000,300000,1800000,7200000,18000000,36000000,50400000,72000000,86400000',
  },
  MERCHANT_WEBHOOK_DISABLE_AFTER_MS: {
    meaning: 'how long the webhook may fail without one success before it is disabled',
    fallback: '432000000',
  },
  MERCHANT_WEBHOOK_HOLD_MAX_AGE_MS: {
    meaning:
      'how long an event is held while the webhook is disabled, or while no worker has an address to send it to',
    fallback: '604800000',
  },
  CONCURRENCY_TOKENIZATION: { meaning: 'jobs at once, queue `tokenization`', fallback: '32' },
  CONCURRENCY_CALLBACK_VERIFICATION: {
    meaning: 'jobs at once, queue `callback-verification`',
    fallback: '32',
  },
  CONCURRENCY_NOTIFY: { meaning: 'jobs at once, queue `notify`', fallback: '32' },
  CONCURRENCY_ACCESS_TOKEN: { meaning: 'jobs at once, queue `access-token`', fallback: '16' },
  CONCURRENCY_RECONCILIATION: { meaning: 'jobs at once, queue `reconciliation`', fallback: '32' },
  CONCURRENCY_DELIVERY: { meaning: 'jobs at once, queue `delivery`', fallback: '16' },
  CONCURRENCY_MAINTENANCE: { meaning: 'jobs at once, queue `maintenance`', fallback: '1' },
  SHUTDOWN_DEADLINE_MS: { meaning: 'how long an ordered stop may take', fallback: '25000' },
  LOG_LEVEL: {
    meaning: '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
    fallback: 'info',
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: { meaning: 'reserved for tracing (not built yet)' },
} as const satisfies Readonly<Record<string, Variable>>;

/** The name of a variable. */
export type VariableName = keyof typeof variables;
