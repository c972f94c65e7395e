import type { LookupFunction } from 'node:net';
import {
  BrokenCircuitError,
  circuitBreaker,
  type CircuitBreakerPolicy,
  handleWhenResult,
  SamplingBreaker,
} from 'cockatiel';
import { request } from 'undici';
import type { Secret } from '../security/secret.ts';
import { createSafeDispatcher } from './safe-dispatcher.ts';
import { webhookHeaders } from './signature.ts';

/** Where events go. Times in milliseconds. */
export interface WebhookSenderOptions {
  readonly url: string;
  readonly secrets: readonly Secret[];
  readonly allowPrivate: boolean;
  /** Deadline of a whole attempt. */
  readonly timeoutMs?: number;
  /** How names are resolved; the system's way by default. */
  readonly lookup?: LookupFunction;
  /** When the breaker opens, and how soon it lets a probe through. */
  readonly breaker?: {
    readonly failureShare: number;
    readonly overMs: number;
    readonly attemptsMin: number;
    readonly halfOpenAfterMs: number;
  };
}

/** One event to be sent. */
export interface WebhookMessage {
  /** Of the event: the same in every attempt and replay. */
  readonly id: string;
  readonly body: string;
  readonly signal?: AbortSignal;
}

/** What an attempt came to. Only 2xx is success; a redirect is not followed and counts as rejected. */
export type WebhookResult =
  | { readonly kind: 'delivered'; readonly status: number }
  | {
      readonly kind: 'rejected';
      readonly status: number;
      readonly retryAfterMs: number | undefined;
    }
  | {
      readonly kind: 'unreachable';
      readonly cause: 'timeout' | 'connection' | 'address_forbidden';
    }
  | { readonly kind: 'breaker_open' };

/** Sends events to the merchant's backend. Never throws for anything that the receiver or the network does. */
export interface WebhookSender {
  readonly url: string;
  readonly send: (message: WebhookMessage) => Promise<WebhookResult>;
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

/** Creates the sender. Nothing is connected until the first event. */
export function createWebhookSender(options: WebhookSenderOptions): WebhookSender {
  const { url, secrets, allowPrivate, lookup, timeoutMs = timeoutMsDefault } = options;
  const dispatcher = createSafeDispatcher({
    allowPrivate,
    timeoutMs,
    ...(lookup === undefined ? {} : { lookup }),
  });
  const breaker = createBreaker(options.breaker ?? breakerDefault);

  async function attempt({ id, body, signal }: WebhookMessage): Promise<WebhookResult> {
    const timeout = AbortSignal.timeout(timeoutMs);
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
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      });
      // What the receiver says besides its status is of no use here; a little is read so that the connection can be kept.
      await response.body.dump({ limit: responseBytesMax });
      const status = response.statusCode;
      if (status >= 200 && status < 300) return { kind: 'delivered', status };
      const retryAfterMs = retryAfterOf(response.headers['retry-after']);
      return { kind: 'rejected', status, retryAfterMs };
    } catch (error) {
      return { kind: 'unreachable', cause: causeOf(error, timeout) };
    }
  }

  return {
    url,
    async send(message) {
      try {
        return await breaker.execute(async () => await attempt(message));
      } catch (error) {
        if (error instanceof BrokenCircuitError) return { kind: 'breaker_open' };
        throw error;
      }
    },
    close: async () => await dispatcher.destroy(),
  };
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
      // Half an attempt less, or rounding asks for one more than `attemptsMin`.
      minimumRps: (attemptsMin - 0.5) / (overMs / 1_000),
    }),
  });
}

/** `Retry-After` in milliseconds, given in seconds or as a date. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function causeOf(
  error: unknown,
  timeout: AbortSignal,
): Extract<WebhookResult, { kind: 'unreachable' }>['cause'] {
  if (timeout.aborted) return 'timeout';
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ADDRESS_FORBIDDEN') return 'address_forbidden';
  return typeof code === 'string' && /^UND_ERR_\w+_TIMEOUT$/.test(code) ? 'timeout' : 'connection';
}
