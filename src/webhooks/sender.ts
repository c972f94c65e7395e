import type { LookupFunction } from 'node:net';
import {
  BrokenCircuitError,
  circuitBreaker,
  type CircuitBreakerPolicy,
  handleWhenResult,
  SamplingBreaker,
} from 'cockatiel';
import { request } from 'undici';
import { type Deadline, startDeadline } from '../deadline.ts';
import type { Secret } from '../security/secret.ts';
import { createSafeDispatcher } from './safe-dispatcher.ts';
import { webhookHeaders } from './signature.ts';

/** The options of the sender. Times are in milliseconds. */
export interface WebhookSenderOptions {
  readonly url: string;
  readonly secrets: readonly Secret[];
  readonly allowPrivate: boolean;
  /** The deadline of a whole attempt; default 15,000. */
  readonly timeoutMs?: number;
  /** Resolves host names; default: the system's resolver. */
  readonly lookup?: LookupFunction;
  /** A proxy to send events through; default: none, whatever the environment says. */
  readonly proxyUrl?: string | undefined;
  /** When the circuit breaker opens, and how soon it admits a probe. */
  readonly breaker?: {
    readonly failureShare: number;
    readonly overMs: number;
    readonly attemptsMin: number;
    readonly halfOpenAfterMs: number;
  };
}

/** One event to send. */
export interface WebhookMessage {
  /** The id of the event, the same in every attempt and replay. */
  readonly id: string;
  readonly body: string;
  readonly signal?: AbortSignal;
}

/** Why an attempt got no answer. */
export type UnreachableCause = 'timeout' | 'connection' | 'address_forbidden';

/**
 * The result of an attempt. Only 2xx is success. A redirect is not followed and counts as rejected.
 */
export type WebhookResult =
  | { readonly kind: 'delivered'; readonly status: number }
  | {
      readonly kind: 'rejected';
      readonly status: number;
      readonly retryAfterMs: number | undefined;
    }
  | { readonly kind: 'unreachable'; readonly cause: UnreachableCause }
  | { readonly kind: 'breaker_open' };

/**
 * Sends events to the merchant's backend. It never throws because of the receiver or the network.
 */
export interface WebhookSender {
  readonly url: string;
  readonly send: (message: WebhookMessage) => Promise<WebhookResult>;
  /** Whether the receiver answers HTTP at all. It sends no event, and any status is an answer. */
  readonly probe: () => Promise<'answers' | UnreachableCause>;
  readonly close: () => Promise<void>;
}

const responseBytesMax = 16 * 1_024;
const timeoutMsDefault = 15_000;
const breakerDefault = {
  failureShare: 0.7,
  overMs: 300_000,
  attemptsMin: 10,
  halfOpenAfterMs: 60_000,
};

/** Receives each attempt: the reason code of a failure, or undefined, and the event's id. */
export type ObserveAttempt = (failure: string | undefined, eventId: string) => void;

/** Creates the sender. It connects at the first event. */
export function createWebhookSender(
  options: WebhookSenderOptions,
  observe: ObserveAttempt = () => undefined,
): WebhookSender {
  const { url, secrets, allowPrivate, lookup, proxyUrl, timeoutMs = timeoutMsDefault } = options;
  const dispatcher = createSafeDispatcher({
    allowPrivate,
    timeoutMs,
    proxyUrl,
    ...(lookup === undefined ? {} : { lookup }),
  });
  const breaker = createBreaker(options.breaker ?? breakerDefault);

  async function attempt({ id, body, signal }: WebhookMessage): Promise<WebhookResult> {
    const deadline = startDeadline(timeoutMs, signal);
    const timestampSeconds = Math.floor(Date.now() / 1_000);
    try {
      const response = await request(url, {
        method: 'POST',
        dispatcher,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'token-lifecycle-worker',
          ...webhookHeaders({ id, timestampSeconds, body }, secrets),
        },
        body,
        signal: deadline.signal,
      });
      // Only the status matters. Reading a little of the body lets the connection be reused.
      await response.body.dump({ limit: responseBytesMax });
      const status = response.statusCode;
      if (status >= 200 && status < 300) return { kind: 'delivered', status };
      const retryAfterMs = retryAfterOf(response.headers['retry-after']);
      return { kind: 'rejected', status, retryAfterMs };
    } catch (error) {
      return { kind: 'unreachable', cause: causeOf(error, deadline) };
    } finally {
      deadline.clear();
    }
  }

  return {
    url,
    async send(message) {
      try {
        return await breaker.execute(async () => {
          const result = await attempt(message);
          // An attempt that the worker ended says nothing about the receiver.
          if (message.signal?.aborted !== true) observe(failureOf(result), message.id);
          return result;
        });
      } catch (error) {
        if (error instanceof BrokenCircuitError) return { kind: 'breaker_open' };
        throw error;
      }
    },
    async probe() {
      const deadline = startDeadline(timeoutMs);
      try {
        const response = await request(url, {
          method: 'HEAD',
          dispatcher,
          signal: deadline.signal,
        });
        await response.body.dump({ limit: responseBytesMax });
        return 'answers';
      } catch (error) {
        return causeOf(error, deadline);
      } finally {
        deadline.clear();
      }
    },
    close: async () => await dispatcher.destroy(),
  };
}

function failureOf(result: WebhookResult): string | undefined {
  if (result.kind === 'rejected') return `http_${Math.floor(result.status / 100)}xx`;
  return result.kind === 'unreachable' ? result.cause : undefined;
}

function createBreaker({
  failureShare,
  overMs,
  attemptsMin,
  halfOpenAfterMs,
}: NonNullable<WebhookSenderOptions['breaker']>): CircuitBreakerPolicy {
  const isFailure = (result: unknown): boolean =>
    (result as WebhookResult).kind !== 'delivered' &&
    (result as WebhookResult).kind !== 'breaker_open';
  return circuitBreaker(handleWhenResult(isFailure), {
    halfOpenAfter: halfOpenAfterMs,
    breaker: new SamplingBreaker({
      threshold: failureShare,
      duration: overMs,
      // Half an attempt less, since rounding would require one more than `attemptsMin`.
      minimumRps: (attemptsMin - 0.5) / (overMs / 1_000),
    }),
  });
}

/** `Retry-After`, which is in seconds or a date, as milliseconds. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function causeOf(error: unknown, deadline: Deadline): UnreachableCause {
  if (deadline.isOver()) return 'timeout';
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ADDRESS_FORBIDDEN') return 'address_forbidden';
  return typeof code === 'string' && /^UND_ERR_\w+_TIMEOUT$/.test(code) ? 'timeout' : 'connection';
}
