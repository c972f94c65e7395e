import type { Secret } from '../security/secret.ts';
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

/** An Accept Payments account. The JSON API takes all three as request headers. */
export interface AcceptPaymentsAccount {
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
  readonly appKey: string;
  readonly appSecret: Secret;
}

/** Where the gateway is, and how its replies are read. Times in milliseconds. */
export interface GatewayOptions extends ReplyRulesInput {
  /** Base of the JSON API, for example `https://checkout-s.oceanpayment.com`. */
  readonly checkoutUrl: string;
  /** Base of the OAuth calls, ending in `/open-api/v1`. */
  readonly openApiUrl: string;
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
  readonly createAccessToken: (app: OpcardApp, call?: CallOptions) => Promise<AccessTokenReply>;
  readonly refreshAccessToken: (
    refreshToken: Secret,
    call?: CallOptions,
  ) => Promise<AccessTokenReply>;
  readonly close: () => Promise<void>;
}

/** Creates the client. Nothing is connected until the first call. */
export function createGatewayClient(
  options: GatewayOptions,
  observe: ObserveCall = () => undefined,
): GatewayClient {
  const transport = createTransport({ timeoutMs: options.timeoutMs });
  const rules = resolveRules(options);
  const checkout = callsTo(transport, options.checkoutUrl, observe);
  const openApi = callsTo(transport, options.openApiUrl, observe);
  return {
    createQuickPay: async (account, request, call) =>
      await checkout('create', '/pg/quickPay/create', headersOf(account), request, call, (reply) =>
        classifyCreate(reply, { account, reference: request.merchant.referenceId }, rules),
      ),
    queryQuickPay: async (account, lookup, call) =>
      await checkout(
        'query',
        '/pg/quickPay/query',
        headersOf(account),
        lookupBody(lookup),
        call,
        (reply) => classifyQuery(reply, account, rules),
      ),
    cancelQuickPay: async (account, quickpayId, call) =>
      await checkout(
        'cancel',
        '/pg/quickPay/cancel',
        headersOf(account),
        { quickpay: { id: quickpayId.reveal() } },
        call,
        (reply) => classifyCancel(reply, rules),
      ),
    checkAccount: async (account, call) =>
      await checkout(
        'check_account',
        '/pinc/check-account',
        headersOf(account),
        {},
        call,
        (reply) => {
          const read = readSuccess(reply, rules);
          return read.kind === 'success' ? { kind: 'done' } : read;
        },
      ),
    createAccessToken: async ({ appKey, appSecret }, call) =>
      await openApi(
        'access_token_create',
        '/oauth/token/create',
        {},
        { app_key: appKey, app_secret: appSecret.reveal() },
        call,
        (reply) => classifyAccessToken(reply, rules),
      ),
    refreshAccessToken: async (refreshToken, call) =>
      await openApi(
        'access_token_refresh',
        '/oauth/token/refresh',
        {},
        { refresh_token: refreshToken.reveal() },
        call,
        (reply) => classifyAccessToken(reply, rules),
      ),
    close: transport.close,
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

function callsTo(transport: Transport, baseUrl: string, observe: ObserveCall) {
  const base = baseUrl.replace(/\/+$/, '');
  return async function call<Reply extends { readonly kind: string }>(
    operation: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: unknown,
    { signal }: CallOptions = {},
    classify: (reply: RawReply) => Reply,
  ): Promise<Reply> {
    const startedAt = performance.now();
    const reply = classify(await transport.post(base + path, headers, body, signal));
    observe({ operation, outcome: reply.kind, durationMs: performance.now() - startedAt });
    return reply;
  };
}
