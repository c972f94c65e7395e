import type { Refusal, RefusalScope } from '../domain/refusals.ts';
import type { HostLimiter } from './host-limiter.ts';
import type { RawReply, Transport } from './transport.ts';
import { untilPermitted } from './until-permitted.ts';

/** The options of one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** The id of the tokenization or credential that the call is about. */
  readonly subject?: string;
}

/** Called after every call, for metrics and the log. */
export type ObserveCall = (call: {
  readonly operation: string;
  readonly host: string;
  readonly subject: string | undefined;
  readonly outcome: string;
  /** The reason code of an unknown outcome. */
  readonly cause: string | undefined;
  /** The gateway's code, if it answered with one that is no success. */
  readonly gatewayCode: string | undefined;
  /** A refusal by the JSON API. Those of OAuth calls have states and alarms of their own. */
  readonly refusal: Refusal | undefined;
  readonly durationMs: number;
}) => void;

/** One call of the gateway's API. */
export interface GatewayCall<Reply> {
  /** The operation's name in metrics. */
  readonly operation: string;
  readonly url: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly options: CallOptions | undefined;
  readonly classify: (reply: RawReply) => Reply;
}

/** What each reply may hold for those who observe calls. */
interface ObservableReply {
  readonly kind: string;
  readonly cause?: string;
  readonly gatewayCode?: string | undefined;
  readonly scope?: RefusalScope;
}

/** Creates the function that makes calls and reports each of them. */
export function createCall(transport: Transport, observe: ObserveCall) {
  return async function call<Reply extends ObservableReply>({
    operation,
    url,
    path,
    headers = {},
    body,
    options,
    classify,
  }: GatewayCall<Reply>): Promise<Reply> {
    const startedAt = performance.now();
    const base = url.replace(/\/+$/, '');
    const reply = classify(await transport.post(base + path, headers, body, options?.signal));
    observe({
      operation,
      host: new URL(url).host,
      subject: options?.subject,
      outcome: reply.kind,
      cause: reply.cause,
      gatewayCode: reply.gatewayCode,
      refusal: refusalOf(reply),
      durationMs: performance.now() - startedAt,
    });
    return reply;
  };
}

function refusalOf({ gatewayCode: code, scope }: ObservableReply): Refusal | undefined {
  return code === undefined || scope === undefined ? undefined : { code, scope };
}

/**
 * Creates the same for calls that wait for a permit, as long as a call may take; without one their
 * outcome is unknown. The host names the limit.
 */
export function createLimitedCall(
  call: ReturnType<typeof createCall>,
  limiter: HostLimiter,
  timeoutMs: number,
) {
  return async function limited<Reply extends ObservableReply>(
    host: string,
    gatewayCall: GatewayCall<Reply>,
  ): Promise<Reply> {
    const signal = gatewayCall.options?.signal;
    const permit = await untilPermitted(limiter, host, { timeoutMs, signal });
    if (permit === undefined)
      return gatewayCall.classify({ kind: 'unknown', cause: 'rate_limited' });
    try {
      return await call(gatewayCall);
    } finally {
      permit.release();
    }
  };
}
