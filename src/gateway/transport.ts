import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { type Deadline, startDeadline } from '../deadline.ts';
import { charsetOf, decodeText } from './decode-text.ts';
import { decompress } from './decompress.ts';
import type { UnknownCause } from './replies.ts';

/** A raw reply, or the reason why there is none. */
export type RawReply =
  | { readonly kind: 'reply'; readonly status: number; readonly body: string }
  | { readonly kind: 'unknown'; readonly cause: UnknownCause };

/** Posts JSON and returns the reply's text. */
export interface Transport {
  readonly post: (
    url: string,
    headers: Readonly<Record<string, string>>,
    body: unknown,
    signal?: AbortSignal,
  ) => Promise<RawReply>;
  readonly close: () => Promise<void>;
}

/** How to reach the gateway. Times are in milliseconds. */
export interface TransportOptions {
  readonly timeoutMs: number;
  /** The proxy for https URLs; undefined: none. */
  readonly proxy?: {
    readonly url?: string | undefined;
    /** Hosts that are called without the proxy, as in `NO_PROXY`. */
    readonly exceptFor: string;
  };
}

const bodyBytesMax = 256 * 1_024;

/**
 * Creates a transport with one deadline for the whole call. It follows no redirect, because the
 * secure code in the headers must not reach a host that a reply names. It retries nothing, because
 * a call may have had an effect.
 */
export function createTransport(options: TransportOptions): Transport {
  const { timeoutMs } = options;
  const dispatcher = createDispatcher(options);
  return {
    async post(url, headers, body, signal) {
      const deadline = startDeadline(timeoutMs, signal);
      try {
        const response = await request(url, {
          method: 'POST',
          dispatcher,
          headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
          body: JSON.stringify(body),
          signal: deadline.signal,
        });
        const bytes = await readBody(response.body);
        const text = bytes && decodeReply(bytes, response.headers);
        if (text === undefined) return { kind: 'unknown', cause: 'body_too_large' };
        return { kind: 'reply', status: response.statusCode, body: text };
      } catch (error) {
        return { kind: 'unknown', cause: causeOf(error, deadline, signal) };
      } finally {
        deadline.clear();
      }
    },
    close: async () => {
      await dispatcher.destroy();
    },
  };
}

function createDispatcher({ timeoutMs, proxy }: TransportOptions): Dispatcher {
  // No limit of connections: the concurrency of the queues bounds the calls in flight.
  const settings = {
    pipelining: 1,
    connect: { timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    keepAliveTimeout: 10_000,
  };
  if (proxy?.url === undefined) return new Agent(settings);
  return new EnvHttpProxyAgent({
    ...settings,
    connectTimeout: timeoutMs,
    // Plain HTTP is for a sandbox on this host only. With undefined, undici would read HTTP_PROXY.
    httpProxy: '',
    httpsProxy: proxy.url,
    noProxy: proxy.exceptFor,
  });
}

/**
 * The text of a reply. Gateways and the proxies in front of them add byte order marks, name other
 * charsets than UTF-8, and compress replies unasked.
 */
function decodeReply(
  bytes: Buffer,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): string | undefined {
  const content = decompress(bytes, textOf(headers['content-encoding']), bodyBytesMax);
  return content && decodeText(content, [charsetOf(textOf(headers['content-type']))]).text;
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}

/** The bytes of a body. Undefined if it is too large; the rest is then not read. */
async function readBody(
  body: AsyncIterable<Buffer> & { destroy: () => unknown },
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bodyBytesMax) {
      body.destroy();
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function causeOf(
  error: unknown,
  deadline: Deadline,
  signal: AbortSignal | undefined,
): UnknownCause {
  if (deadline.isOver()) return 'timeout';
  if (signal?.aborted === true) return 'aborted';
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const isTimeout =
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    code === 'UND_ERR_HEADERS_TIMEOUT' ||
    code === 'UND_ERR_BODY_TIMEOUT';
  return isTimeout ? 'timeout' : 'connection';
}
