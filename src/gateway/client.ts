import { AppError } from '../domain/errors.ts';
import type { Secret } from '../security/secret.ts';
import {
  type CallPermit,
  type HostLimiter,
  type PermitRequest,
  type RetryLater,
  unlimited,
} from './host-limiter.ts';
import { createTransport, type TransportOptions } from './transport.ts';
import { type CallOptions, createCall, createLimitedCall, type ObserveCall } from './call.ts';
import { classifyAccessToken } from './access-token-reply.ts';
import { classifyCancel } from './cancel-reply.ts';
import { classifyCreate } from './create-reply.ts';
import { readSuccess } from './envelope.ts';
import type {
  AccessTokenReply,
  CancelReply,
  CheckReply,
  CreateReply,
  QueryReply,
  QuickPayLookup,
} from './replies.ts';
import { classifyQuery } from './query-reply.ts';
import { resolveRules, type ReplyRules, type ReplyRulesInput } from './reply-rules.ts';

export type {
  AccessTokenReply,
  CancelReply,
  CreateReply,
  QueryReply,
  QuickPayLookup,
  QuickPayRecord,
} from './replies.ts';

/** The environment of the gateway that a credential belongs to. */
export type GatewayEnvironment = 'sandbox' | 'production';

/** An Accept Payments account. Each call of the JSON API sends it in request headers. */
export interface AcceptPaymentsAccount {
  /** Default: the client's own environment. */
  readonly environment?: GatewayEnvironment | undefined;
  readonly account: string;
  readonly terminal: string;
  readonly secureCode: Secret;
  /** The vendor's public key, which the check of an account sends. */
  readonly publicKey?: Secret | undefined;
}

/** The vendor's body of a QuickPay creation. Every leaf is text. */
export interface QuickPayRequest {
  readonly order: Readonly<Record<string, string | undefined>>;
  readonly merchant: { readonly referenceId: string };
  readonly billing: Readonly<Record<string, string | undefined>>;
  readonly customer: { readonly id: string };
  readonly device?: Readonly<Record<string, string | undefined>> | undefined;
  readonly subscription?: Readonly<Record<string, string | undefined>> | undefined;
  readonly customer_info?: string | undefined;
  readonly voucher_info?: string | undefined;
}

/** A node of a creation that newer documentation of the vendor calls optional. */
export type OptionalNode = 'device' | 'subscription' | 'customer_info' | 'voucher_info';

/** An OPCard application. */
export interface OpcardApp {
  /** Default: the client's own environment. */
  readonly environment?: GatewayEnvironment | undefined;
  readonly appKey: string;
  readonly appSecret: Secret;
}

/** The base URLs of one environment. */
export interface GatewayPlace {
  /** The base of the JSON API, for example `https://checkout-s.oceanpayment.com`. */
  readonly checkoutUrl: string;
  /** The base of the OAuth calls, which ends in `/open-api/v1`. */
  readonly openApiUrl: string;
}

/** The gateway's URLs and how its replies are read. Times are in milliseconds. */
export interface GatewayOptions extends GatewayPlace, ReplyRulesInput {
  /** The environment of the URLs above; default `sandbox`. */
  readonly environment?: GatewayEnvironment;
  /** The URLs of the other environment. Without them, calls for its credentials throw. */
  readonly otherPlace?: GatewayPlace;
  /** Optional nodes of a creation that the gateway requires all the same. */
  readonly requiredNodes?: readonly OptionalNode[];
  /** The shop's host, which the check of an account sends. */
  readonly site?: string | undefined;
  /** Limits OAuth calls; default: no limit. */
  readonly oauthLimiter?: HostLimiter;
  /** Limits calls of the JSON API; default: no limit. */
  readonly callLimiter?: HostLimiter;
  /** The deadline of a whole call, from connecting to the last byte of the reply. */
  readonly timeoutMs: number;
  /** The proxy on the way to the gateway. */
  readonly proxy?: NonNullable<TransportOptions['proxy']>;
}

/**
 * The gateway's API. No method throws because of the gateway or the network: if the outcome of a
 * call can't be known, the reply is `unknown`.
 */
export interface GatewayClient {
  readonly createQuickPay: (
    account: AcceptPaymentsAccount,
    request: QuickPayRequest,
    call?: CallOptions,
  ) => Promise<CreateReply>;
  readonly queryQuickPay: (
    account: AcceptPaymentsAccount,
    lookup: QuickPayLookup,
    call?: CallOptions,
  ) => Promise<QueryReply>;
  readonly cancelQuickPay: (
    account: AcceptPaymentsAccount,
    quickpayId: Secret,
    call?: CallOptions,
  ) => Promise<CancelReply>;
  /** Whether the gateway accepts this account, terminal and secure code from this machine. */
  readonly checkAccount: (
    account: AcceptPaymentsAccount,
    call?: CallOptions,
  ) => Promise<CheckReply>;
  /**
   * Gives a permit for one OAuth call to the host of an environment. It is acquired before the
   * intent is committed, since a lease must not run while its owner waits, and released after the
   * call.
   */
  readonly acquireOauthPermit: (
    environment?: GatewayEnvironment,
    request?: PermitRequest,
  ) => Promise<CallPermit | RetryLater>;
  /** The same for one creation. Queries and cancellations wait for their permits themselves. */
  readonly acquireCreatePermit: (
    account: Pick<AcceptPaymentsAccount, 'environment'>,
    request?: PermitRequest,
  ) => Promise<CallPermit | RetryLater>;
  readonly createAccessToken: (app: OpcardApp, call?: CallOptions) => Promise<AccessTokenReply>;
  readonly refreshAccessToken: (
    app: Pick<OpcardApp, 'environment'>,
    refreshToken: Secret,
    call?: CallOptions,
  ) => Promise<AccessTokenReply>;
  readonly close: () => Promise<void>;
}

type AccountPlace = Pick<AcceptPaymentsAccount, 'environment'>;

/** Creates the client. It connects at the first call. */
export function createGatewayClient(
  gateway: GatewayOptions,
  observe: ObserveCall = () => undefined,
): GatewayClient {
  const transport = createTransport(gateway);
  const rules = resolveRules(gateway);
  const placeOf = createPlaceLookup(gateway);
  const { oauthLimiter = unlimited, callLimiter = unlimited } = gateway;
  const checkoutHost = (to: AccountPlace) => `${new URL(placeOf(to).checkoutUrl).host} json`;
  const call = createCall(transport, observe);
  const limited = createLimitedCall(call, callLimiter, gateway.timeoutMs);
  return {
    createQuickPay: async (account, request, options) =>
      await call({
        operation: 'create',
        url: placeOf(account).checkoutUrl,
        path: '/pg/quickPay/create',
        headers: accountHeaders(account),
        body: withRequiredNodes(request, gateway.requiredNodes),
        options,
        classify: (reply) =>
          classifyCreate(reply, { account, reference: request.merchant.referenceId }, rules),
      }),
    queryQuickPay: async (account, lookup, options) =>
      await limited(checkoutHost(account), {
        operation: 'query',
        url: placeOf(account).checkoutUrl,
        path: '/pg/quickPay/query',
        headers: accountHeaders(account),
        body: lookupBody(lookup),
        options,
        classify: (reply) => classifyQuery(reply, account, rules),
      }),
    cancelQuickPay: async (account, quickpayId, options) =>
      await limited(checkoutHost(account), {
        operation: 'cancel',
        url: placeOf(account).checkoutUrl,
        path: '/pg/quickPay/cancel',
        headers: accountHeaders(account),
        body: { quickpay: { id: quickpayId.reveal() } },
        options,
        classify: (reply) => classifyCancel(reply, rules),
      }),
    checkAccount: async (account, options) =>
      await call({
        operation: 'check_account',
        url: placeOf(account).checkoutUrl,
        path: '/pinc/check-account',
        headers: accountHeaders(account),
        body: checkBody(account, gateway.site),
        options,
        classify: (reply): CheckReply => {
          const read = readSuccess(reply, rules);
          return read.kind === 'success' ? { kind: 'done' } : read;
        },
      }),
    acquireOauthPermit: async (environment, request) =>
      await oauthLimiter.acquire(new URL(placeOf({ environment }).openApiUrl).host, request),
    acquireCreatePermit: (account, request) => callLimiter.acquire(checkoutHost(account), request),
    createAccessToken: async (app, options) =>
      await call({
        operation: 'access_token_create',
        url: placeOf(app).openApiUrl,
        path: '/oauth/token/create',
        body: { app_key: app.appKey, app_secret: app.appSecret.reveal() },
        options,
        classify: (reply) => classifyAccessToken(reply, rules),
      }),
    refreshAccessToken: async (app, refreshToken, options) =>
      await call({
        operation: 'access_token_refresh',
        url: placeOf(app).openApiUrl,
        path: '/oauth/token/refresh',
        body: { refresh_token: refreshToken.reveal() },
        options,
        classify: (reply) => keepOrReplace(classifyAccessToken(reply, rules), rules),
      }),
    close: transport.close,
  };
}

/** Finds the URLs of a credential's environment: its secrets must never reach the other host. */
function createPlaceLookup(options: GatewayOptions) {
  const { environment: own = 'sandbox', otherPlace } = options;
  return ({ environment = own }: Pick<OpcardApp, 'environment'>): GatewayPlace => {
    if (environment === own) return options;
    if (otherPlace !== undefined) return otherPlace;
    throw new AppError('internal', `The gateway client has no URL for ${environment}.`);
  };
}

function accountHeaders({ account, terminal, secureCode }: AcceptPaymentsAccount) {
  return { account, terminal, secureCode: secureCode.reveal() };
}

const emptyNodes = {
  device: { environment: '', osType: '' },
  subscription: { name: '', interval: '', intervalCount: '' },
  customer_info: '{}',
  voucher_info: '{}',
} as const;

/** The vendor's sample sends the children of an unused node as empty texts. */
function withRequiredNodes(
  request: QuickPayRequest,
  required: readonly OptionalNode[] = [],
): QuickPayRequest {
  const missing = required.filter((node) => request[node] === undefined);
  return { ...request, ...Object.fromEntries(missing.map((node) => [node, emptyNodes[node]])) };
}

function keepOrReplace(
  reply: AccessTokenReply,
  { refreshTokenPolicy }: ReplyRules,
): AccessTokenReply {
  return reply.kind === 'done' && refreshTokenPolicy === 'keep'
    ? { ...reply, refreshToken: undefined }
    : reply;
}

/** The body in the vendor's own collection. The gateway documents no field of it. */
function checkBody({ account, terminal, publicKey }: AcceptPaymentsAccount, site = '') {
  return { account, terminal, site, key: publicKey?.reveal() ?? '' };
}

/** The gateway takes exactly one of four nodes, although the vendor's example sends several. */
function lookupBody(lookup: QuickPayLookup): Readonly<Record<string, unknown>> {
  switch (lookup.by) {
    case 'orderReferenceId':
      return { order: { referenceId: lookup.value } };
    case 'merchantReferenceId':
      return { merchant: { referenceId: lookup.value } };
    case 'customerId':
      return { customer: { id: lookup.value } };
    case 'quickpayId':
      return { quickpay: { id: lookup.value.reveal() } };
  }
}
