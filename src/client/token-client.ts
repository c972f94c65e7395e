import { z } from 'zod';
import {
  invalidAccessTokenBody,
  rawCallbackBody,
  tokenizationFilter,
  tokenizationRequestBody,
} from '../domain/payload/api-shapes.ts';
import type { Channel } from '../domain/callback.ts';
import { credentialName } from '../domain/payload/job-payloads.ts';
import { pageParameters, type PageRequest, pageRowsMax } from '../domain/paging.ts';
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
import type {
  RawCallback,
  TokenizationFilter,
  TokenizationRequest,
} from '../domain/payload/payload-types.ts';

/** The options of a call that waits. */
export interface WaitOptions {
  /** The longest wait in milliseconds; default 60,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * The tokenization to wait for: its id, or the merchant's reference. By reference the client also
 * finds a tokenization that was just enqueued and does not exist yet.
 */
export type AwaitedTokenization = string | { readonly merchantReferenceId: string };

/**
 * The calls of a backend, over HTTP or directly on PostgreSQL. Every call throws `TokenClientError`
 * with the same codes on both, or the reason of its signal.
 */
export interface TokenClient {
  /** Requests a QuickPay ID. A repeated merchant reference gives the same tokenization. */
  readonly requestTokenization: (request: TokenizationRequest) => Promise<TokenizationView>;
  /** Waits for the redirect URL of the customer or a final state. Throws `timeout`. */
  readonly waitForRedirectUrl: (
    of: AwaitedTokenization,
    options?: WaitOptions,
  ) => Promise<TokenizationView>;
  /** Waits for a final state: the customer decided or the time ran out. Throws `timeout`. */
  readonly waitForResult: (
    of: AwaitedTokenization,
    options?: WaitOptions,
  ) => Promise<TokenizationView>;
  /** Gets a tokenization by its id. Throws `tokenization_not_found`. */
  readonly getTokenization: (id: string) => Promise<TokenizationView>;
  /** Finds the newest tokenization that matches; undefined if none does. */
  readonly findTokenization: (filter: TokenizationFilter) => Promise<TokenizationView | undefined>;
  /** Lists matching tokenizations, newest first; `cursor` is the previous page's `nextCursor`. */
  readonly findTokenizations: (
    filter: TokenizationFilter,
    page?: { readonly cursor?: string; readonly limit?: number },
  ) => Promise<TokenizationPage>;
  /** Lists the changes of a tokenization and of the messages about it, oldest first. */
  readonly getTimeline: (id: string) => Promise<readonly TimelineEvent[]>;
  /** Reveals a QuickPay ID. Each call adds an audit row, so the client does not retry it. */
  readonly revealToken: (id: string) => Promise<string>;
  /** Disables a token: the worker then cancels it at the gateway. */
  readonly disableToken: (id: string) => Promise<TokenizationView>;
  /** Makes the worker query the gateway now for the status of a tokenization. */
  readonly confirmTokenization: (id: string) => Promise<TokenizationView>;
  /** Forwards the unchanged redirect that a customer's browser brought. */
  readonly forwardRedirect: (message: RawCallback) => Promise<KeptCallback>;
  /** Forwards the unchanged push of the gateway's server. */
  readonly forwardNotify: (message: RawCallback) => Promise<KeptCallback>;
  /** Gets the valid access token of a credential. It is cached, so call this before each use. */
  readonly getAccessToken: (credential?: string) => Promise<AccessTokenView>;
  /** Reports that the gateway answered 401 to this generation, so that the worker renews it. */
  readonly reportInvalidAccessToken: (credential: string, generation: number) => Promise<void>;
  /**
   * Reveals an OPCCOUNT credential. Each call adds an audit row, so the client does not retry it.
   */
  readonly revealOpccount: (credential?: string) => Promise<OpccountCredential>;
}

/** One long poll of at most `waitMs` milliseconds. */
export interface Wait {
  readonly waitMs: number;
  readonly until: 'redirect' | 'final';
  /** Ends the call and its retries. */
  readonly signal: AbortSignal;
}

/** The calls over one transport, with parsed inputs. It throws `TokenClientError`. */
export interface TokenTransport {
  readonly requestTokenization: (
    request: z.output<typeof tokenizationRequestBody>,
  ) => Promise<TokenizationView>;
  /** With `wait`: resolves once the tokenization has come that far, or at the end of the wait. */
  readonly getTokenization: (id: string, wait?: Wait) => Promise<TokenizationView>;
  readonly findTokenizations: (
    filter: z.output<typeof tokenizationFilter>,
    page: PageRequest,
    signal?: AbortSignal,
  ) => Promise<TokenizationPage>;
  readonly readTimeline: (id: string, page: PageRequest) => Promise<TimelinePage>;
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

/**
 * Creates a client on a transport. It parses inputs, waits and reads pages alike on each transport.
 */
export function createClientOn(transport: TokenTransport): TokenClient {
  const find: TokenClient['findTokenizations'] = async (filter, page = {}) =>
    await transport.findTokenizations(
      parseInput(tokenizationFilter, filter),
      parseInput(pageInput, page),
    );
  return {
    requestTokenization: async (request) =>
      await transport.requestTokenization(parseInput(tokenizationRequestBody, request)),
    waitForRedirectUrl: async (of, wait) => await waitFor(transport, of, 'redirect', wait),
    waitForResult: async (of, wait) => await waitFor(transport, of, 'final', wait),
    getTokenization: async (id) => await transport.getTokenization(parseId(id)),
    findTokenization: async (filter) => (await find(filter, { limit: 1 })).items[0],
    findTokenizations: find,
    getTimeline: async (id) => await readAllPages(transport, parseId(id)),
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

const pageInput = z.object(pageParameters);

function parseId(id: string): string {
  return parseInput(z.uuid(), id);
}

const waitMsDefault = 60_000;
/** The wait of one long poll, which stays below the limits of proxies and of the worker. */
const waitMsMax = 25_000;

/** The time for an answer that the worker sends at the end of the wait to arrive. */
const answerGraceMs = 500;
/** The largest delay of a JavaScript timer. */
const timerMsMax = 2 ** 31 - 1;

/** Waits at most half a second longer than `timeoutMs`, even if a call hangs. */
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
    Math.min(timeoutMs + answerGraceMs, timerMsMax),
  );
  const limit = { deadline: performance.now() + timeoutMs, signal: giveUp.signal };
  try {
    const id = typeof of === 'string' ? parseId(of) : await waitUntilFound(transport, of, limit);
    return await waitUntilReached(transport, id, until, limit);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', passOn);
  }
}

/** The end of a wait: `deadline` on the clock of `performance.now()`, or an abort of `signal`. */
interface WaitLimit {
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/**
 * The pause after a long poll that ended early, as on a worker that stops. It doubles, with jitter.
 */
const earlyPauseMsMin = 250;
const earlyPauseMsMax = 4_000;

async function waitUntilReached(
  transport: TokenTransport,
  id: string,
  until: Wait['until'],
  { deadline, signal }: WaitLimit,
): Promise<TokenizationView> {
  for (let pauseMs = earlyPauseMsMin; ;) {
    const askedAt = performance.now();
    const waitMs = Math.ceil(Math.max(0, Math.min(deadline - askedAt, waitMsMax)));
    const view = await orAborted(transport.getTokenization(id, { waitMs, until, signal }), signal);
    if (isReached(view, until)) return view;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw timedOut(`The tokenization is still in state ${view.state}.`);
    if (performance.now() - askedAt > waitMs / 2) continue;
    await pause(Math.min(pauseMs * (0.8 + 0.4 * Math.random()), leftMs), signal);
    pauseMs = Math.min(2 * pauseMs, earlyPauseMsMax);
  }
}

/** Whether a tokenization has reached the awaited progress. */
export function isReached({ state, redirectUrl }: TokenizationView, until: Wait['until']): boolean {
  return isFinal(state) || (until === 'redirect' && redirectUrl !== null);
}

function timedOut(message: string): TokenClientError {
  return new TokenClientError(message, { code: 'timeout', isRetryable: true });
}

/**
 * The pause between two searches. It doubles: the relay takes a quarter of a second, or much
 * longer.
 */
const pauseMsMin = 50;
const pauseMsMax = 1_000;

/**
 * Waits for the newest tokenization of a reference and returns its id. A tokenization that was
 * enqueued by SQL exists only after the relay accepted it.
 */
async function waitUntilFound(
  transport: TokenTransport,
  { merchantReferenceId }: { readonly merchantReferenceId: string },
  { deadline, signal }: WaitLimit,
): Promise<string> {
  const filter = parseInput(tokenizationFilter, { merchantReferenceId });
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    const found = transport.findTokenizations(filter, { limit: 1 }, signal);
    const newest = (await orAborted(found, signal)).items[0];
    if (newest !== undefined) return newest.id;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new TokenClientError('No tokenization has this reference yet.', {
        code: 'tokenization_not_found',
        isRetryable: true,
      });
    }
    await pause(Math.min(pauseMs, leftMs), signal);
  }
}

/** Resolves to the result of `call`, or rejects as soon as `signal` aborts. The call goes on. */
async function orAborted<Answer>(call: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  return await new Promise<Answer>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
    void call.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) onAbort();
  });
}

/** Waits `ms` milliseconds, or rejects with the reason of the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await orAborted(over, signal).finally(() => clearTimeout(timer));
}

async function readAllPages(
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
