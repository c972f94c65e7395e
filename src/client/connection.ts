import ky, { HTTPError, type Options, TimeoutError } from 'ky';
import { z } from 'zod';
import { isBaseUrl } from '../domain/base-url.ts';
import type { AnswerCheck } from './answer-checks.ts';
import { TokenClientError } from './client-error.ts';
import { parseOptions } from './input.ts';

/** The address of the API and the key for it. Times are in milliseconds. */
export interface ConnectionOptions {
  /**
   * The base URL of the private listener, such as `http://worker.internal:9090`, without a login.
   */
  readonly url: string | URL;
  /** An API key of the worker. Its scopes decide which calls it may make. */
  readonly apiKey: string;
  /** The deadline of one attempt, in addition to the wait of a long poll; default 10,000. */
  readonly timeoutMs?: number;
  /** The most retries of a call that did not get through; default 3. */
  readonly retriesMax?: number;
  /** A replacement for the global `fetch`, for proxies and tests. */
  readonly fetch?: typeof globalThis.fetch;
}

/** One call of the API. */
export interface Call<Answer> {
  readonly method: 'get' | 'post';
  /** The path below `/v1/`, with each part encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Whether the client may retry a call that possibly arrived. A call that is not idempotent is
   * retried only after an answer that says it had no effect.
   */
  readonly isIdempotent: boolean;
  readonly isAnswer: AnswerCheck<Answer>;
  /** The wait of a long poll. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Sends a call. Throws `TokenClientError`, or the reason of the signal. */
export type Connection = <Answer>(call: Call<Answer>) => Promise<Answer>;

const timeoutMsDefault = 10_000;
/** One day. */
const timeoutMsMax = 86_400_000;
const retriesMaxDefault = 3;
const backoffMsMax = 10_000;
const retryAfterMsMax = 10_000;
/** Statuses by which the worker says that the call had no effect. */
const refusedStatuses = [429, 503];
/** Statuses of a proxy that gave up, after which the effect of the call is unknown. */
const unclearStatuses = [408, 502, 504];
/**
 * The code of a call for which the worker already waited, so that the caller decides on a retry.
 */
const waitedCode = 'access_token_unavailable';

const optionsSchema = z.object({
  url: z.coerce
    .string()
    .pipe(z.url({ protocol: /^https?$/, abort: true }))
    // A query or fragment would swallow the path that is appended. fetch refuses a URL with a
    // login, and its error quotes the password.
    .refine(isBaseUrl, { abort: true })
    .transform((text) => new URL('v1/', text.replace(/\/*$/, '/'))),
  // fetch refuses other characters in a header, and its error quotes the key.
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

/** Creates a connection. It sends nothing yet. Throws `config_invalid`. */
export function openConnection(options: ConnectionOptions): Connection {
  const { url, apiKey, timeoutMs, retriesMax, fetch } = parseOptions(optionsSchema, options);
  const api = ky.create({
    prefix: url,
    headers: { authorization: `Bearer ${apiKey}`, accept: 'application/json' },
    // Following a redirect would send the key to another host.
    redirect: 'error',
    fetch: withBufferedBodies(fetch),
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
      return await readAnswer(response, call);
    } catch (error) {
      call.signal?.throwIfAborted();
      throw asClientError(error);
    }
  };
}

/**
 * The retry options of a call. A retry is never earlier than `Retry-After`. A call with a signal
 * waits that long; a call without one fails at once if the wait exceeds 10 seconds, so that its
 * caller decides.
 */
function retryOf(
  { isIdempotent, signal }: Pick<Call<unknown>, 'isIdempotent' | 'signal'>,
  retriesMax: number,
): Exclude<Options['retry'], number | undefined> {
  const statusCodes = isIdempotent ? [...refusedStatuses, ...unclearStatuses] : refusedStatuses;
  const waitMsMax = signal === undefined ? retryAfterMsMax : Infinity;
  return {
    limit: retriesMax,
    methods: ['get', 'post'],
    statusCodes,
    afterStatusCodes: statusCodes,
    // ky applies it to rate-limit headers too.
    maxRetryAfter: waitMsMax,
    backoffLimit: backoffMsMax,
    jitter: true,
    shouldRetry({ error }) {
      // Without an HTTP answer the effect is unknown, and each runtime has errors of its own.
      if (!(error instanceof HTTPError)) return isIdempotent;
      if (readProblemError(error).code === waitedCode) return false;
      return retryAfterMsOf(error.response) > waitMsMax ? false : undefined;
    },
  };
}

/** `Retry-After`, which is in seconds or a date, as milliseconds; 0 if missing or unreadable. */
function retryAfterMsOf({ headers }: Response): number {
  const text = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? 0 : ms;
}

async function readAnswer<Answer>(
  response: Response,
  { isAnswer }: Pick<Call<Answer>, 'isAnswer'>,
): Promise<Answer> {
  const body = asJson(await response.text());
  if (isAnswer(body)) return body;
  throw new TokenClientError('The answer is not from a worker: check the url option.', {
    code: 'answer_invalid',
    status: response.status,
    isRetryable: false,
  });
}

/** The fields of a problem that the client reads. A newer worker may send unknown codes. */
const problemSchema = z.object({
  title: z.string(),
  detail: z.string(),
  code: z.string(),
  paths: z.array(z.string()),
  isRetryable: z.boolean(),
  requestId: z.string(),
});

function asClientError(error: unknown): TokenClientError {
  if (error instanceof TokenClientError) return error;
  if (error instanceof HTTPError) return readProblemError(error);
  if (error instanceof TimeoutError) {
    return new TokenClientError('The worker did not answer within timeoutMs.', {
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

/**
 * The system's code, such as `ECONNREFUSED`. ky's errors contain the request, hence no more of it.
 */
function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const isCode = 'code' in error && typeof error.code === 'string' && /^[A-Z_]+$/.test(error.code);
  return isCode ? String(error.code) : systemCodeOf(error.cause);
}

function readProblemError({ response, data }: HTTPError): TokenClientError {
  const { status } = response;
  const parsed = problemSchema.safeParse(asJson(data));
  if (!parsed.success) {
    return new TokenClientError(
      `Status ${status} came without a problem+json body of a worker: check the url option and proxies.`,
      { code: 'answer_invalid', status, isRetryable: status >= 500 },
    );
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
 * A `fetch` that resolves after the whole body arrived. A body that stalls or breaks is then a
 * fault of the attempt, under its timeout and its retries.
 */
function withBufferedBodies(fetch: typeof globalThis.fetch): NonNullable<Options['fetch']> {
  return async (input, init) => {
    const response = await fetch(input, init);
    const text = await response.text();
    const { status, headers } = response;
    // `Response` refuses a body, even an empty one, for statuses such as 204.
    return new Response(text === '' ? null : text, { status, headers });
  };
}
