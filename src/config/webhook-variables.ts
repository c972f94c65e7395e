import { isTrue, proxyUrl, webhookSecrets, webhookUrl } from './forms.ts';
import { secretVariable, variable } from './variable.ts';

/** Where events for the merchant's backend go. */
export const webhookVariables = {
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
  proxyUrl: secretVariable(
    'MERCHANT_WEBHOOK_PROXY_URL',
    proxyUrl.optional(),
    'proxy for events; the proxy, not the worker, then decides which addresses are reachable',
  ),
};
