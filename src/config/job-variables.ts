import {
  callbackBase,
  callbackFormats,
  durationMs,
  fraction,
  list,
  isTrue,
  oneOf,
  scheduleMs,
  timeZone,
  wholeNumber,
} from './forms.ts';
import { variable } from './variable.ts';

const signatureMode = oneOf(['off', 'observe', 'verify']).prefault('observe');
const maxAgeMs = durationMs(1_000);
const dailyMs = 86_400_000;
/** The reconcile schedule ends with five daily queries. */
const dailyQueries = Array.from({ length: 5 }, () => dailyMs);

/** What the jobs read. Times in milliseconds. */
export const jobVariables = {
  awaitingCustomerDeadlineMs: variable(
    'AWAITING_CUSTOMER_DEADLINE_MS',
    durationMs(1_000).prefault('86400000'),
    'how long a customer may take',
  ),
  reconcileScheduleMs: variable(
    'RECONCILE_SCHEDULE_MS',
    scheduleMs
      .transform((waits) => [...waits, ...dailyQueries])
      .prefault('5000,30000,120000,600000,3600000'),
    'waits between two queries of one tokenization; five daily ones follow',
  ),
  scanIntervalMs: variable(
    'SCAN_INTERVAL_MS',
    wholeNumber(100, 3_600_000).prefault('5000'),
    'how often the worker scans for due work',
  ),
  resubmitPolicy: variable(
    'RESUBMIT_POLICY',
    oneOf(['new-reference', 'same-reference', 'manual']).prefault('new-reference'),
    'what follows when the gateway says twice that it does not know a lost request: `new-reference`, `same-reference` or `manual`. Where it knows the request but the URL of its page was lost: a new reference, or with `manual` the event `tokenization.redirect_lost`',
  ),
  lostAnswerSpacingMs: variable(
    'LOST_ANSWER_SPACING_MS',
    wholeNumber(1_000, 3_600_000).prefault('60000'),
    'the least time between the two answers after which a request, or its page, counts as lost',
  ),
  resubmissionsMax: variable(
    'RESUBMISSIONS_MAX',
    wholeNumber(0, 5).prefault('3'),
    'how often the worker sends one lost request again before it marks it for review',
  ),
  confirmPolicy: variable(
    'CONFIRM_POLICY',
    oneOf(['query', 'signed']).prefault('query'),
    '`query` before every activation, or `signed`: a proven push is enough',
  ),
  expiryZone: variable(
    'EXPIRY_ZONE',
    timeZone.prefault('Asia/Shanghai'),
    "time zone of the gateway's expiry dates",
  ),
  expirySafetyMs: variable(
    'EXPIRY_SAFETY_MS',
    durationMs(0).prefault('0'),
    'how long before its `expiryTime` a token counts as expired',
  ),
  returnUrlHosts: variable(
    'RETURN_URL_HOSTS',
    list.default([]),
    'hosts that `returnUrl` may name; `*.example.com` for all below it',
  ),
  callbackAddresses: variable(
    'CALLBACK_ADDRESSES',
    oneOf(['per-request', 'shared']).prefault('per-request'),
    '`per-request`: each request gets its own callback URLs, which cannot be guessed; `shared`: one URL for all, for a gateway account that pins its addresses',
  ),
  notifyAddressProves: variable(
    'NOTIFY_ADDRESS_PROVES',
    isTrue.prefault('true'),
    'whether a push to its per-request URL proves its sender: only the gateway is told that URL',
  ),
  callbackPublicUrl: variable(
    'CALLBACK_PUBLIC_URL',
    callbackBase.optional(),
    'base of the callback routes as the gateway and browsers see it; a path is allowed, and a proxy may keep or strip it',
  ),
  orphanMaxAgeMs: variable(
    'CALLBACK_ORPHAN_MAX_AGE_MS',
    maxAgeMs.prefault('86400000'),
    'how long a message waits for its tokenization before it is abandoned with an alarm',
  ),
  refusedCallbackMaxAgeMs: variable(
    'CALLBACK_REFUSED_MAX_AGE_MS',
    maxAgeMs.prefault('604800000'),
    'how long messages that are unreadable or name an unknown account are kept; an update within this time may read the unreadable ones',
  ),
  unbelievedCallbackMaxAgeMs: variable(
    'CALLBACK_UNBELIEVED_MAX_AGE_MS',
    maxAgeMs.prefault('259200000'),
    'how long messages that were rejected, abandoned or changed nothing are kept after that, unless they are proven',
  ),
  messages: {
    formats: variable(
      'CALLBACK_FORMATS',
      callbackFormats.prefault('xml,json,form,multipart'),
      'formats of messages that count: `xml`, `json`, `form`, `multipart`',
    ),
    duplicates: variable(
      'CALLBACK_DUPLICATES',
      oneOf(['last', 'first']).prefault('last'),
      'which value of a repeated name in a message counts: `last` or `first`',
    ),
  },
  cancelConfirm: variable(
    'CANCEL_CONFIRM',
    oneOf(['query-once', 'none']).prefault('query-once'),
    'whether the worker queries a token after the gateway accepted its cancellation: `query-once` or `none`',
  ),
  signatures: {
    redirect: {
      mode: variable('REDIRECT_SIGNATURE_MODE', signatureMode, '`off`, `observe` or `verify`'),
      fields: variable(
        'REDIRECT_SIGNATURE_FIELDS',
        list.optional(),
        'ordered field list that redirects are signed over',
      ),
    },
    notify: {
      mode: variable('NOTIFY_SIGNATURE_MODE', signatureMode, '`off`, `observe` or `verify`'),
      fields: variable(
        'NOTIFY_SIGNATURE_FIELDS',
        list.optional(),
        'ordered field list that pushes are signed over',
      ),
    },
  },
  accessToken: {
    ttlMs: variable(
      'ACCESS_TOKEN_TTL_MS',
      durationMs(1_000).prefault('3600000'),
      'life of an access token when the reply names none',
    ),
    skewMs: variable(
      'ACCESS_TOKEN_SKEW_MS',
      durationMs(0).prefault('60000'),
      'margin before expiry; smaller where the reply names a short life',
    ),
    dueFraction: variable(
      'ACCESS_TOKEN_DUE_FRACTION',
      fraction(0.1, 0.95).prefault('0.75'),
      'share of its life after which a token is renewed; 85 % of what the margin leaves at the latest',
    ),
  },
  webhookScheduleMs: variable(
    'MERCHANT_WEBHOOK_SCHEDULE_MS',
    scheduleMs.prefault(
      '0,5000,300000,1800000,7200000,18000000,36000000,50400000,72000000,86400000',
    ),
    'waits before each attempt to deliver an event, spread by 20 %',
  ),
  webhookDisableAfterMs: variable(
    'MERCHANT_WEBHOOK_DISABLE_AFTER_MS',
    durationMs(1_000).prefault('432000000'),
    'how long the webhook may fail without one success before it is disabled',
  ),
  webhookHoldMaxAgeMs: variable(
    'MERCHANT_WEBHOOK_HOLD_MAX_AGE_MS',
    maxAgeMs.prefault('604800000'),
    'how long an event is held while the webhook is disabled, or while no worker has an address to send it to',
  ),
};
