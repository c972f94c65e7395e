import { AppError } from '../domain/errors.ts';
import type { Secret } from '../security/secret.ts';
import { createTurns, type Later, type Turn, type TurnLimits, type TurnRequest } from './turns.ts';
import { createTransport, type Transport } from './transport.ts';
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
import { resolveRules, type ReplyRulesInput } from './reply-rules.ts';

export type {
  AccessTokenReply,
  CancelReply,
  CreateReply,
  QueryReply,
  QuickPayLookup,
  QuickPayRecord,
} from './replies.ts';

/** Which of the gateway's two worlds a credential belongs to. */
export type GatewayEnvironment = 'sandbox' | 'production';

/** An Accept Payments account. The JSON API takes account, terminal and secure code as request headers. */
export interface AcceptPaymentsAccount {
  /** Absent: the environment that the client was made for. */
  readonly environment?: GatewayEnvironment | undefined;
  readonly account: string;
  readonly terminal: string;
  readonly secureCode: Secret;
}

/** The vendor's own body of a QuickPay creation; every leaf is text. */
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

/** An OPCard application. */
export interface OpcardApp {
  /** Absent: the environment that the client was made for. */
  readonly environment?: GatewayEnvironment | undefined;
  readonly appKey: string;
  readonly appSecret: Secret;
}

/** The bases of one environment. */
export interface GatewayPlace {
  /** Base of the JSON API, for example `https://checkout-s.oceanpayment.com`. */
  readonly checkoutUrl: string;
  /** Base of the OAuth calls, ending in `/open-api/v1`. */
  readonly openApiUrl: string;
}

/** Where the gateway is, and how its replies are read. Times in milliseconds. */
export interface GatewayOptions extends GatewayPlace, ReplyRulesInput {
  /** The environment of the bases above, default `sandbox`. */
  readonly environment?: GatewayEnvironment;
  /** The bases of the other environment; without them, calls for its credentials throw. */
  readonly otherPlace?: GatewayPlace;
  /** OAuth calls per second and host that this process makes at most, default 5: the gateway publishes no limit. */
  readonly oauthCallsPerSecondMax?: number;
  /** Further limits of OAuth calls; default: none. */
  readonly oauthLimits?: Omit<TurnLimits, 'perSecondMax'>;
  /** Deadline of a whole call, from connecting to the last byte of the reply. */
  readonly timeoutMs: number;
}

/** Options of one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** Told about every finished call, for metrics. */
export type ObserveCall = (call: {
  readonly operation: string;
  readonly outcome: string;
  readonly durationMs: number;
}) => void;

/**
 * The gateway as jobs see it. No method throws for anything the gateway or the network does: what can't be known is
 * the reply `unknown`.
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
  /** Whether the gateway takes this account, terminal and secure code from this machine; changes nothing there. */
  readonly checkAccount: (
    account: AcceptPaymentsAccount,
    call?: CallOptions,
  ) => Promise<CheckReply>;
  /**
   * Waits until one more OAuth call may be made to the host of an environment, for seconds at most, or says when to ask again. To be
   * awaited before an intent is committed, since a lease must not run while its owner queues, and ended after the call.
   */
  readonly oauthTurn: (
    environment?: GatewayEnvironment,
    request?: TurnRequest,
  ) => Promise<Turn | Later>;
  readonly createAccessToken: (app: OpcardApp, call?: CallOptions) => Promise<AccessTokenReply>;
  readonly refreshAccessToken: (
    app: Pick<OpcardApp, 'environment'>,
    refreshToken: Secret,
    call?: CallOptions,
  ) => Promise<AccessTokenReply>;
  readonly close: () => Promise<void>;
}

const oauthCallsPerSecondDefault = 5;

/** Creates the client. Nothing is connected until the first call. */
export function createGatewayClient(
  gateway: GatewayOptions,
  observe: ObserveCall = () => undefined,
): GatewayClient {
  const transport = createTransport({ timeoutMs: gateway.timeoutMs });
  const rules = resolveRules(gateway);
  const call = callsBy(transport, observe);
  const placeOf = placesOf(gateway);
  const turns = oauthTurnsOf(gateway);
  return {
    createQuickPay: async (account, request, options) =>
      await call(
        placeOf(account).checkoutUrl,
        'create',
        '/pg/quickPay/create',
        headersOf(account),
        request,
        options,
        (reply) =>
          classifyCreate(reply, { account, reference: request.merchant.referenceId }, rules),
      ),
    queryQuickPay: async (account, lookup, options) =>
      await call(
        placeOf(account).checkoutUrl,
        'query',
        '/pg/quickPay/query',
        headersOf(account),
        lookupBody(lookup),
        options,
        (reply) => classifyQuery(reply, account, rules),
      ),
    cancelQuickPay: async (account, quickpayId, options) =>
      await call(
        placeOf(account).checkoutUrl,
        'cancel',
        '/pg/quickPay/cancel',
        headersOf(account),
        { quickpay: { id: quickpayId.reveal() } },
        options,
        (reply) => classifyCancel(reply, rules),
      ),
    checkAccount: async (account, options) =>
      await call(
        placeOf(account).checkoutUrl,
        'check_account',
        '/pinc/check-account',
        headersOf(account),
        {},
        options,
        (reply) => {
          const read = readSuccess(reply, rules);
          return read.kind === 'success' ? { kind: 'done' } : read;
        },
      ),
    oauthTurn: async (environment, request) =>
      await turns(placeOf({ environment }).openApiUrl, request),
    createAccessToken: async (app, options) =>
      await call(
        placeOf(app).openApiUrl,
        'access_token_create',
        '/oauth/token/create',
        {},
        { app_key: app.appKey, app_secret: app.appSecret.reveal() },
        options,
        (reply) => classifyAccessToken(reply, rules),
      ),
    refreshAccessToken: async (app, refreshToken, options) =>
      await call(
        placeOf(app).openApiUrl,
        'access_token_refresh',
        '/oauth/token/refresh',
        {},
        { refresh_token: refreshToken.reveal() },
        options,
        (reply) => classifyAccessToken(reply, rules),
      ),
    close: transport.close,
  };
}

function oauthTurnsOf({
  oauthCallsPerSecondMax: perSecondMax = oauthCallsPerSecondDefault,
  oauthLimits = noLimits,
}: GatewayOptions) {
  return createTurns({ perSecondMax, ...oauthLimits });
}

const noLimits = { atOnceMax: Infinity, atOnceInAllMax: Infinity, lineMsMax: Infinity };

/** A call for one environment must never reach the other: its secrets are not for that host. */
function placesOf(options: GatewayOptions) {
  const { environment: own = 'sandbox', otherPlace } = options;
  return ({ environment = own }: Pick<OpcardApp, 'environment'>): GatewayPlace => {
    if (environment === own) return options;
    if (otherPlace !== undefined) return otherPlace;
    throw new AppError('internal', `The gateway client does not know where ${environment} is.`);
  };
}

function headersOf({ account, terminal, secureCode }: AcceptPaymentsAccount) {
  return { account, terminal, secureCode: secureCode.reveal() };
}

/** The gateway takes exactly one of four nodes, whatever its own example shows. */
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

type RawReply = Awaited<ReturnType<Transport['post']>>;

function callsBy(transport: Transport, observe: ObserveCall) {
  return async function call<Reply extends { readonly kind: string }>(
    baseUrl: string,
    operation: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: unknown,
    { signal }: CallOptions = {},
    classify: (reply: RawReply) => Reply,
  ): Promise<Reply> {
    const startedAt = performance.now();
    const base = baseUrl.replace(/\/+$/, '');
    const reply = classify(await transport.post(base + path, headers, body, signal));
    observe({ operation, outcome: reply.kind, durationMs: performance.now() - startedAt });
    return reply;
  };
}
