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
import { isFinal } from '../domain/tokenization.ts';
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
  /** Ends the call, and whatever it would try again. */
  readonly signal: AbortSignal;
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
    signal?: AbortSignal,
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

/** How much longer than the wait an answer may be on its way that the worker gave at its end. */
const onItsWayMs = 500;
/** The longest that a timer runs. */
const timerMsMax = 2 ** 31 - 1;

/** Waits, at most half a second longer than `timeoutMs`, whatever becomes of the calls in between. */
async function waitFor(
  transport: TokenTransport,
  of: AwaitedTokenization,
  until: Wait['until'],
  { timeoutMs = waitMsDefault, signal }: WaitOptions = {},
): Promise<TokenizationView> {
  signal?.throwIfAborted();
  const giveUp = new AbortController();
  const passOn = (): void => giveUp.abort(signal?.reason);
  signal?.addEventListener('abort', passOn);
  const timer = setTimeout(
    () => giveUp.abort(timedOut('The worker did not answer in time.')),
    Math.min(timeoutMs + onItsWayMs, timerMsMax),
  );
  const patience = { deadline: performance.now() + timeoutMs, signal: giveUp.signal };
  try {
    const id = typeof of === 'string' ? parseId(of) : await untilThere(transport, of, patience);
    return await untilReached(transport, id, until, patience);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', passOn);
  }
}

/** How long a wait goes on: until `deadline` on the clock of `performance.now()`, and no longer than its signal. */
interface Patience {
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** The pause after an answer that came before its time, as a worker gives that is about to stop: doubled each time, and more or less of it. */
const earlyPauseMsMin = 250;
const earlyPauseMsMax = 4_000;

async function untilReached(
  transport: TokenTransport,
  id: string,
  until: Wait['until'],
  { deadline, signal }: Patience,
): Promise<TokenizationView> {
  for (let pauseMs = earlyPauseMsMin; ;) {
    const askedAt = performance.now();
    const waitMs = Math.ceil(Math.max(0, Math.min(deadline - askedAt, waitMsMax)));
    const view = await orAborted(transport.getTokenization(id, { waitMs, until, signal }), signal);
    if (isReached(view, until)) return view;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw timedOut(`It is still in state ${view.state}.`);
    if (performance.now() - askedAt > waitMs / 2) continue;
    await pause(Math.min(pauseMs * (0.8 + 0.4 * Math.random()), leftMs), signal);
    pauseMs = Math.min(2 * pauseMs, earlyPauseMsMax);
  }
}

/** Whether a tokenization has come as far as is waited for. */
export function isReached({ state, redirectUrl }: TokenizationView, until: Wait['until']): boolean {
  return isFinal(state) || (until === 'redirect' && redirectUrl !== null);
}

function timedOut(message: string): TokenClientError {
  return new TokenClientError(message, { code: 'timeout', isRetryable: true });
}

/** The pause between two looks doubles: what was committed is there within a quarter of a second, or may take long. */
const pauseMsMin = 50;
const pauseMsMax = 1_000;

/** The id of the newest tokenization of a reference. What was enqueued by SQL is there once the relay has accepted it. */
async function untilThere(
  transport: TokenTransport,
  { merchantReferenceId }: { readonly merchantReferenceId: string },
  { deadline, signal }: Patience,
): Promise<string> {
  const filter = parseInput(tokenizationFilter, { merchantReferenceId });
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    const found = transport.findTokenizations(filter, { limit: 1 }, signal);
    const newest = (await orAborted(found, signal)).items[0];
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

/** What a call gives, or the reason of the signal as soon as it is aborted, however long the call goes on. */
async function orAborted<Answer>(call: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  return await new Promise<Answer>((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', leave);
    void call.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    if (signal.aborted) leave();
  });
}

/** Waits so long, or rejects with the reason of the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await orAborted(over, signal).finally(() => clearTimeout(timer));
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
