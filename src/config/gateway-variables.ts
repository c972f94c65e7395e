import {
  gatewayUrl,
  list,
  oneOf,
  proxyUrl,
  requestNodes,
  statusMap,
  text,
  wholeNumber,
} from './forms.ts';
import { secretVariable, variable } from './variable.ts';

/** How the gateway is reached, and how its replies are read. */
export const gatewayVariables = {
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
    'codes by which a query reports no result, beside a success with an empty `data`. After any other code the worker queries again, and does not send the request again',
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
  callsPerSecondMax: variable(
    'GATEWAY_CALLS_PER_SECOND_MAX',
    wholeNumber(1, 1_000).optional(),
    'calls of the JSON API that all workers together make to one host in a second; without it, no limit',
  ),
  redirectHostAllowList: variable(
    'REDIRECT_HOST_ALLOW_LIST',
    list.prefault('*.oceanpayment.com'),
    'hosts that a customer may be sent to. The page of a creation on another host is refused: the log names the host, and the merchant gets `tokenization.redirect_lost`',
  ),
  proxy: {
    url: secretVariable(
      'HTTPS_PROXY',
      proxyUrl.optional(),
      'proxy for calls to the gateway, for example because it wants a registered address; events to the merchant never use it',
    ),
    exceptFor: variable(
      'NO_PROXY',
      text.default(''),
      'hosts that are called without `HTTPS_PROXY`, comma-separated',
    ),
  },
};
