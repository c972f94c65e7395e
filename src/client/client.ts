import { z } from 'zod';
import {
  invalidAccessTokenBody,
  rawCallbackBody,
  tokenizationFilter,
  tokenizationRequestBody,
} from '../domain/api-shapes.ts';
import { credentialName } from '../domain/job-payloads.ts';
import { createAccessTokenCache } from './access-token-cache.ts';
import type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelineEvent,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';
import { TokenClientError } from './client-error.ts';
import {
  type Connection,
  type ConnectionOptions,
  openConnection,
  parseInput,
} from './connection.ts';

export { TokenClientError } from './client-error.ts';
export type { TokenClientErrorCode, TokenClientErrorDetail } from './client-error.ts';
export type { ConnectionOptions } from './connection.ts';
export type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelineEvent,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';

/** A request for a QuickPay ID: the vendor's own body, and optionally `credential` and `returnUrl`. */
export type TokenizationRequest = z.input<typeof tokenizationRequestBody>;
/** What tokenizations are looked for by; at least one, and all that are given have to fit. */
export type TokenizationFilter = z.input<typeof tokenizationFilter>;
/** A message of the gateway as a backend received it. */
export type RawCallback = z.input<typeof rawCallbackBody>;

/** A call that waits. */
export interface WaitOptions {
  /** How long to wait, in milliseconds; default 60,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * A worker's API. Calls that say the same twice are done once, so they are sent again by themselves when they did not get
 * through. Every call throws `TokenClientError`, or the reason of its signal.
 */
export interface TokenClient {
  /** Asks for a QuickPay ID. The merchant reference is the key: asked again it gives the same tokenization. */
  readonly requestTokenization: (request: TokenizationRequest) => Promise<TokenizationView>;
  /** Waits until there is an address to send the customer to, or a final state. Throws `timeout`. */
  readonly waitForRedirectUrl: (id: string, options?: WaitOptions) => Promise<TokenizationView>;
  /** Waits for a final state: the customer has decided, or their time is over. Throws `timeout`. */
  readonly waitForResult: (id: string, options?: WaitOptions) => Promise<TokenizationView>;
  /** The tokenization with this id. Throws `tokenization_not_found`. */
  readonly getTokenization: (id: string) => Promise<TokenizationView>;
  /** The newest tokenization that fits, by any reference or by state; undefined where none does. */
  readonly findTokenization: (filter: TokenizationFilter) => Promise<TokenizationView | undefined>;
  /** A page of all that fit, newest first; `cursor` is the `nextCursor` of the page before. */
  readonly findTokenizations: (
    filter: TokenizationFilter,
    page?: { readonly cursor?: string; readonly limit?: number },
  ) => Promise<TokenizationPage>;
  /** Every change of a tokenization and of the messages about it, oldest first. */
  readonly getTimeline: (id: string) => Promise<readonly TimelineEvent[]>;
  /** The QuickPay ID. Each call leaves an audit row, so it is not sent again where it may have arrived. */
  readonly revealToken: (id: string) => Promise<string>;
  /** Has a token disabled at the gateway. */
  readonly disableToken: (id: string) => Promise<TokenizationView>;
  /** Has the gateway asked now what became of a tokenization. */
  readonly confirmTokenization: (id: string) => Promise<TokenizationView>;
  /** Hands over what a customer's browser brought back, as it came. */
  readonly forwardRedirect: (message: RawCallback) => Promise<KeptCallback>;
  /** Hands over what the gateway's server pushed, as it came. */
  readonly forwardNotify: (message: RawCallback) => Promise<KeptCallback>;
  /** The valid access token of a credential: from memory until shortly before its end, and asked for once however many want it. */
  readonly getAccessToken: (credential?: string) => Promise<AccessTokenView>;
  /** Reports that the gateway answered 401 to this generation of an access token, and forgets it. */
  readonly reportInvalidAccessToken: (credential: string, generation: number) => Promise<void>;
  /** What calls to OPCCOUNT are signed with. Each call leaves an audit row, so it is not sent again where it may have arrived. */
  readonly revealOpccount: (credential?: string) => Promise<OpccountCredential>;
}

/** Opens a client. Nothing is sent yet, and nothing has to be closed. */
export function createTokenClient(options: ConnectionOptions): TokenClient {
  const send = openConnection(options);
  const accessTokens = createAccessTokenCache(
    async (credential) =>
      await send<AccessTokenView>({
        method: 'get',
        path: `access-tokens/${credential}`,
        isIdempotent: true,
      }),
  );
  const act = async <Answer>(id: string, action: string, isIdempotent = true): Promise<Answer> =>
    await send<Answer>({ method: 'post', path: `${pathOf(id)}/${action}`, isIdempotent });
  const find: TokenClient['findTokenizations'] = async (filter, page = {}) =>
    await send<TokenizationPage>({
      method: 'get',
      path: 'tokenizations',
      query: { ...parseInput(tokenizationFilter, filter), ...page },
      isIdempotent: true,
    });

  return {
    async requestTokenization(request) {
      const body = parseInput(tokenizationRequestBody, request);
      return await send<TokenizationView>({
        method: 'post',
        path: 'tokenizations',
        headers: { 'idempotency-key': body.merchant.referenceId },
        body,
        isIdempotent: true,
      });
    },
    waitForRedirectUrl: async (id, wait) => await waitFor(send, id, 'redirect', wait),
    waitForResult: async (id, wait) => await waitFor(send, id, 'final', wait),
    getTokenization: async (id) =>
      await send<TokenizationView>({ method: 'get', path: pathOf(id), isIdempotent: true }),
    findTokenization: async (filter) => (await find(filter, { limit: 1 })).items[0],
    findTokenizations: find,
    getTimeline: async (id) => await readTimeline(send, id),
    async revealToken(id) {
      const { quickpayId } = await act<{ readonly quickpayId: string }>(id, 'reveal', false);
      return quickpayId;
    },
    disableToken: async (id) => await act<TokenizationView>(id, 'disable'),
    confirmTokenization: async (id) => await act<TokenizationView>(id, 'confirm'),
    forwardRedirect: async (message) => await forward(send, 'redirect', message),
    forwardNotify: async (message) => await forward(send, 'notify', message),
    getAccessToken: async (credential = 'default') =>
      await accessTokens.get(parseInput(credentialName, credential)),
    async reportInvalidAccessToken(credential, generation) {
      const name = parseInput(credentialName, credential);
      const body = parseInput(invalidAccessTokenBody, { generation });
      accessTokens.forget(name, generation);
      await send({
        method: 'post',
        path: `access-tokens/${name}/invalid`,
        body,
        isIdempotent: true,
      });
    },
    revealOpccount: async (credential = 'default') =>
      await send<OpccountCredential>({
        method: 'post',
        path: `opccount-credentials/${parseInput(credentialName, credential)}/reveal`,
        isIdempotent: false,
      }),
  };
}

const waitMsDefault = 60_000;
/** The longest that one request waits: short of what proxies in between allow, and of the worker's own bound. */
const waitMsMax = 25_000;
const finalStates: readonly string[] = [
  'active',
  'failed',
  'expired',
  'disabled',
  'token_expired',
] satisfies readonly TokenizationView['state'][];

async function waitFor(
  send: Connection,
  id: string,
  until: 'redirect' | 'final',
  { timeoutMs = waitMsDefault, signal }: WaitOptions = {},
): Promise<TokenizationView> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const leftMs = Math.max(0, deadline - performance.now());
    const waitMs = Math.ceil(Math.min(leftMs, waitMsMax));
    const view = await send<TokenizationView>({
      method: 'get',
      path: pathOf(id),
      query: { wait: `${waitMs}ms`, until },
      isIdempotent: true,
      waitMs,
      signal,
    });
    const hasUrl = until === 'redirect' && view.redirectUrl !== null;
    if (hasUrl || finalStates.includes(view.state)) return view;
    if (performance.now() >= deadline) {
      throw new TokenClientError(`It is still in state ${view.state}.`, {
        code: 'timeout',
        isRetryable: true,
      });
    }
  }
}

interface TimelinePage {
  readonly events: readonly TimelineEvent[];
  readonly nextCursor: string | null;
}

async function readTimeline(send: Connection, id: string): Promise<readonly TimelineEvent[]> {
  const all: TimelineEvent[] = [];
  let cursor: string | undefined;
  do {
    const { events, nextCursor } = await send<TimelinePage>({
      method: 'get',
      path: `${pathOf(id)}/timeline`,
      query: { limit: 200, cursor },
      isIdempotent: true,
    });
    all.push(...events);
    cursor = nextCursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}

async function forward(
  send: Connection,
  channel: 'redirect' | 'notify',
  message: RawCallback,
): Promise<KeptCallback> {
  const body = parseInput(rawCallbackBody, message);
  return await send<KeptCallback>({
    method: 'post',
    path: `callbacks/${channel}`,
    body,
    isIdempotent: true,
  });
}

function pathOf(id: string): string {
  return `tokenizations/${parseInput(z.uuid(), id)}`;
}
