import ky, { HTTPError, type Options, TimeoutError } from 'ky';
import { z } from 'zod';
import type { AnswerCheck } from './answer-checks.ts';
import { TokenClientError } from './client-error.ts';
import { parseOptions } from './input.ts';

/** Where the API is and which key opens it. Times in milliseconds. */
export interface ConnectionOptions {
  /** Base of the private listener, such as `http://worker.internal:9090`; no user and password in it. */
  readonly url: string | URL;
  /** A key of the worker; its scopes say which calls it may make. */
  readonly apiKey: string;
  /** How long one attempt may take, besides what a call waits for by itself; default 10,000. */
  readonly timeoutMs?: number;
  /** How often a call that did not get through is sent again; default 3. */
  readonly retriesMax?: number;
  /** Another `fetch` than the global one, for proxies and tests. */
  readonly fetch?: typeof globalThis.fetch;
}

/** One call of the API. */
export interface Call<Answer> {
  readonly method: 'get' | 'post';
  /** Below `/v1/`, each part encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether it may be sent again although it may have arrived; otherwise it is only after an answer that says it was not done. */
  readonly isIdempotent: boolean;
  readonly isAnswer: AnswerCheck<Answer>;
  /** How long the worker was asked to hold the answer back. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Sends calls. Throws `TokenClientError`, or the reason of the signal. */
export type Connection = <Answer>(call: Call<Answer>) => Promise<Answer>;

const timeoutMsDefault = 10_000;
/** A day. */
const timeoutMsMax = 86_400_000;
const retriesMaxDefault = 3;
const backoffMsMax = 10_000;
const retryAfterMsMax = 10_000;
/** The worker says by these that it did nothing. */
const refusedStatuses = [429, 503];
/** And by these nobody knows: a proxy in between gave up. */
const unclearStatuses = [408, 502, 504];
/** By this the worker says that it has waited already: whether to wait once more is for the caller to decide. */
const waitedCode = 'access_token_unavailable';

const optionsSchema = z.object({
  url: z.coerce
    .string()
    .pipe(z.url({ protocol: /^https?$/ }))
    .transform((text) => new URL('v1/', text.replace(/\/*$/, '/')))
    // No fetch takes them, and what says so quotes them.
    .refine(({ username, password }) => username === '' && password === ''),
  // What a header can hold: what refuses another key quotes it.
  apiKey: z
    .string()
    .trim()
    .regex(/^[\u0021-\u007e]+$/),
  timeoutMs: z.number().min(1).max(timeoutMsMax).default(timeoutMsDefault),
  retriesMax: z.int().min(0).default(retriesMaxDefault),
  fetch: z
    .custom<typeof globalThis.fetch>((value) => typeof value === 'function')
    .default(() => globalThis.fetch),
});

/** Opens a connection. Nothing is sent yet. Throws `config_invalid`. */
export function openConnection(options: ConnectionOptions): Connection {
  const { url, apiKey, timeoutMs, retriesMax, fetch } = parseOptions(optionsSchema, options);
  const api = ky.create({
    prefix: url,
    headers: { authorization: `Bearer ${apiKey}`, accept: 'application/json' },
    // A redirect would carry the key elsewhere.
    redirect: 'error',
    fetch: wholeAnswers(fetch),
  });
  return async <Answer>(call: Call<Answer>): Promise<Answer> => {
    const settings: Options = {
      method: call.method,
      timeout: timeoutMs + (call.waitMs ?? 0),
      totalTimeout: false,
      retry: retryOf(call, retriesMax),
      ...(call.query === undefined ? {} : { searchParams: call.query }),
      ...(call.body === undefined ? {} : { json: call.body }),
      ...(call.headers === undefined ? {} : { headers: call.headers }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    };
    try {
      const response = await api(call.path, settings);
      return await answerOf(response, call);
    } catch (error) {
      call.signal?.throwIfAborted();
      throw asClientError(error);
    }
  };
}

/**
 * When a call is sent again: no earlier than `Retry-After` says. A call that ends by a signal has that patience; another one is given up
 * at once where it would have to wait for long, since its caller knows better what to do meanwhile.
 */
function retryOf(
  { isIdempotent, signal }: Pick<Call<unknown>, 'isIdempotent' | 'signal'>,
  retriesMax: number,
): Exclude<Options['retry'], number | undefined> {
  const statusCodes = isIdempotent ? [...refusedStatuses, ...unclearStatuses] : refusedStatuses;
  const patienceMs = signal === undefined ? retryAfterMsMax : Infinity;
  return {
    limit: retriesMax,
    methods: ['get', 'post'],
    statusCodes,
    afterStatusCodes: statusCodes,
    // For what ky also reads: the end of a rate limit's window.
    maxRetryAfter: patienceMs,
    backoffLimit: backoffMsMax,
    jitter: true,
    shouldRetry({ error }) {
      // Of what is no answer each run time has its own error.
      if (!(error instanceof HTTPError)) return isIdempotent;
      if (errorOfAnswer(error).code === waitedCode) return false;
      return retryAfterMsOf(error.response) > patienceMs ? false : undefined;
    },
  };
}

/** What an answer says in seconds, or as a date; 0 where it says nothing that can be read. */
function retryAfterMsOf({ headers }: Response): number {
  const text = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? 0 : ms;
}

async function answerOf<Answer>(
  response: Response,
  { isAnswer }: Pick<Call<Answer>, 'isAnswer'>,
): Promise<Answer> {
  const body = asJson(await response.text());
  if (isAnswer(body)) return body;
  throw new TokenClientError('The answer is not what a worker says: is the url that of one?', {
    code: 'answer_invalid',
    status: response.status,
    isRetryable: false,
  });
}

/** A problem as far as the client reads it. A newer worker may have codes that this one does not know. */
const readProblem = z.object({
  title: z.string(),
  detail: z.string(),
  code: z.string(),
  paths: z.array(z.string()),
  isRetryable: z.boolean(),
  requestId: z.string(),
});

function asClientError(error: unknown): TokenClientError {
  if (error instanceof TokenClientError) return error;
  if (error instanceof HTTPError) return errorOfAnswer(error);
  if (error instanceof TimeoutError) {
    return new TokenClientError('The worker did not answer in time.', {
      code: 'timeout',
      isRetryable: true,
    });
  }
  const reason = systemCodeOf(error);
  return new TokenClientError(
    `The worker could not be reached${reason === undefined ? '' : ` (${reason})`}.`,
    { code: 'network', isRetryable: true },
  );
}

/** What the system calls a fault, such as `ECONNREFUSED`. More of it is not passed on: ky's errors hold the request, key and body included. */
function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const isCode = 'code' in error && typeof error.code === 'string' && /^[A-Z_]+$/.test(error.code);
  return isCode ? String(error.code) : systemCodeOf(error.cause);
}

function errorOfAnswer({ response, data }: HTTPError): TokenClientError {
  const { status } = response;
  const parsed = readProblem.safeParse(asJson(data));
  if (!parsed.success) {
    return new TokenClientError(`The answer has status ${status} and is no problem of a worker.`, {
      code: 'answer_invalid',
      status,
      isRetryable: status >= 500,
    });
  }
  const { title, detail, ...rest } = parsed.data;
  return new TokenClientError(`${title}: ${detail}`, { ...rest, status });
}

function asJson(data: unknown): unknown {
  if (typeof data !== 'string') return data;
  try {
    return JSON.parse(data) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * A `fetch` whose answers have arrived whole: what stalls or breaks inside the body is then a fault of the attempt, under its timeout, and
 * sent again like any other. ky hands its own `Request` on, which a `fetch` from elsewhere takes for an address.
 */
function wholeAnswers(fetch: typeof globalThis.fetch): NonNullable<Options['fetch']> {
  return async (input, init) => {
    const response = await fetch(input, init);
    const text = await response.text();
    const { status, headers } = response;
    // Statuses such as 204 must have no body at all.
    return new Response(text === '' ? null : text, { status, headers });
  };
}
