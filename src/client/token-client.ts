import { z } from 'zod';
import {
  invalidAccessTokenBody,
  rawCallbackBody,
  tokenizationFilter,
  tokenizationRequestBody,
} from '../domain/api-shapes.ts';
import type { Channel } from '../domain/callback.ts';
import { credentialName } from '../domain/job-payloads.ts';
import { cursor, limit, type PageAsked, pageRowsMax } from '../domain/paging.ts';
import type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelineEvent,
  TimelinePage,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';
import { TokenClientError } from './client-error.ts';
import { parseInput } from './input.ts';

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

/** Which tokenization is waited for: by its id, or by the merchant's reference, also where it was enqueued a moment ago and is not there yet. */
export type AwaitedTokenization = string | { readonly merchantReferenceId: string };

/**
 * What a backend may ask of a worker, whichever way it reaches it. Every call throws `TokenClientError`, with the same codes
 * either way, or the reason of its signal.
 */
export interface TokenClient {
  /** Asks for a QuickPay ID. The merchant reference is the key: asked again it gives the same tokenization. */
  readonly requestTokenization: (request: TokenizationRequest) => Promise<TokenizationView>;
  /** Waits until there is an address to send the customer to, or a final state. Throws `timeout`. */
  readonly waitForRedirectUrl: (
    of: AwaitedTokenization,
    options?: WaitOptions,
  ) => Promise<TokenizationView>;
  /** Waits for a final state: the customer has decided, or their time is over. Throws `timeout`. */
  readonly waitForResult: (
    of: AwaitedTokenization,
    options?: WaitOptions,
  ) => Promise<TokenizationView>;
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
  /** The valid access token of a credential, from memory where it is known: call it before each use. */
  readonly getAccessToken: (credential?: string) => Promise<AccessTokenView>;
  /** Reports that the gateway answered 401 to this generation of an access token, so that it is renewed. */
  readonly reportInvalidAccessToken: (credential: string, generation: number) => Promise<void>;
  /** What calls to OPCCOUNT are signed with. Each call leaves an audit row, so it is not sent again where it may have arrived. */
  readonly revealOpccount: (credential?: string) => Promise<OpccountCredential>;
}

/** What is waited for at most `waitMs` milliseconds. */
export interface Wait {
  readonly waitMs: number;
  readonly until: 'redirect' | 'final';
  readonly signal: AbortSignal | undefined;
}

/** One way to a worker. What it is given has been parsed; it throws `TokenClientError`. */
export interface TokenTransport {
  readonly requestTokenization: (
    request: z.output<typeof tokenizationRequestBody>,
  ) => Promise<TokenizationView>;
  /** With `wait`, as soon as what is waited for is there, or as it is when the wait is over. */
  readonly getTokenization: (id: string, wait?: Wait) => Promise<TokenizationView>;
  readonly findTokenizations: (
    filter: z.output<typeof tokenizationFilter>,
    page: PageAsked,
  ) => Promise<TokenizationPage>;
  readonly readTimeline: (id: string, page: PageAsked) => Promise<TimelinePage>;
  readonly revealToken: (id: string) => Promise<string>;
  readonly disableToken: (id: string) => Promise<TokenizationView>;
  readonly confirmTokenization: (id: string) => Promise<TokenizationView>;
  readonly forward: (
    channel: Channel,
    message: z.output<typeof rawCallbackBody>,
  ) => Promise<KeptCallback>;
  readonly getAccessToken: (credential: string) => Promise<AccessTokenView>;
  readonly reportInvalidAccessToken: (credential: string, generation: number) => Promise<void>;
  readonly revealOpccount: (credential: string) => Promise<OpccountCredential>;
}

/** The client on one transport: inputs are parsed, waits and pages are put together here, so they are the same on each. */
export function createClientOn(transport: TokenTransport): TokenClient {
  const find: TokenClient['findTokenizations'] = async (filter, page = {}) =>
    await transport.findTokenizations(
      parseInput(tokenizationFilter, filter),
      parseInput(pageAsked, page),
    );
  return {
    requestTokenization: async (request) =>
      await transport.requestTokenization(parseInput(tokenizationRequestBody, request)),
    waitForRedirectUrl: async (of, wait) => await waitFor(transport, of, 'redirect', wait),
    waitForResult: async (of, wait) => await waitFor(transport, of, 'final', wait),
    getTokenization: async (id) => await transport.getTokenization(parseId(id)),
    findTokenization: async (filter) => (await find(filter, { limit: 1 })).items[0],
    findTokenizations: find,
    getTimeline: async (id) => await readWholeTimeline(transport, parseId(id)),
    revealToken: async (id) => await transport.revealToken(parseId(id)),
    disableToken: async (id) => await transport.disableToken(parseId(id)),
    confirmTokenization: async (id) => await transport.confirmTokenization(parseId(id)),
    forwardRedirect: async (message) =>
      await transport.forward('redirect', parseInput(rawCallbackBody, message)),
    forwardNotify: async (message) =>
      await transport.forward('notify', parseInput(rawCallbackBody, message)),
    getAccessToken: async (credential = 'default') =>
      await transport.getAccessToken(parseInput(credentialName, credential)),
    async reportInvalidAccessToken(credential, generation) {
      const name = parseInput(credentialName, credential);
      const body = parseInput(invalidAccessTokenBody, { generation });
      await transport.reportInvalidAccessToken(name, body.generation);
    },
    revealOpccount: async (credential = 'default') =>
      await transport.revealOpccount(parseInput(credentialName, credential)),
  };
}

const pageAsked = z.object({ cursor, limit });

function parseId(id: string): string {
  return parseInput(z.uuid(), id);
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
  transport: TokenTransport,
  of: AwaitedTokenization,
  until: Wait['until'],
  { timeoutMs = waitMsDefault, signal }: WaitOptions = {},
): Promise<TokenizationView> {
  const deadline = performance.now() + timeoutMs;
  const id =
    typeof of === 'string' ? parseId(of) : await untilThere(transport, of, { deadline, signal });
  for (;;) {
    signal?.throwIfAborted();
    const leftMs = Math.max(0, deadline - performance.now());
    const waitMs = Math.ceil(Math.min(leftMs, waitMsMax));
    const view = await transport.getTokenization(id, { waitMs, until, signal });
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

/** The pause between two looks doubles: what was committed is there within a quarter of a second, or may take long. */
const pauseMsMin = 50;
const pauseMsMax = 1_000;

/** The id of the newest tokenization of a reference. What was enqueued by SQL is there once the relay has accepted it. */
async function untilThere(
  transport: TokenTransport,
  { merchantReferenceId }: { readonly merchantReferenceId: string },
  { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal | undefined },
): Promise<string> {
  const filter = parseInput(tokenizationFilter, { merchantReferenceId });
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    signal?.throwIfAborted();
    const { items } = await transport.findTokenizations(filter, { limit: 1 });
    const newest = items[0];
    if (newest !== undefined) return newest.id;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new TokenClientError('No tokenization has this reference (yet).', {
        code: 'tokenization_not_found',
        isRetryable: true,
      });
    }
    await pause(Math.min(pauseMs, leftMs), signal);
  }
}

/** Waits so long, or until the signal is aborted. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}

async function readWholeTimeline(
  transport: TokenTransport,
  id: string,
): Promise<readonly TimelineEvent[]> {
  const all: TimelineEvent[] = [];
  let from: string | undefined;
  do {
    const { events, nextCursor } = await transport.readTimeline(id, {
      cursor: from,
      limit: pageRowsMax,
    });
    all.push(...events);
    from = nextCursor ?? undefined;
  } while (from !== undefined);
  return all;
}
