import rateLimit from '@fastify/rate-limit';
import {
  fastify,
  type FastifyReply,
  type FastifyRequest,
  type onRequestAsyncHookHandler,
} from 'fastify';
import type { Channel } from '../domain/callback.ts';
import type { Logger } from '../observability/logger.ts';
import { type AddressRange, isInRanges } from '../security/addresses.ts';
import { listenOn } from './listen.ts';
import { neutralPage } from './neutral-page.ts';

/** A message as it came over HTTP. */
export interface ReceivedCallback {
  readonly channel: Channel;
  readonly contentType: string | undefined;
  readonly body: Buffer;
  readonly sourceIp: string;
}

/** What the public listener needs. */
export interface PublicPorts {
  /** Keeps the message; resolves once it is committed and throws when it could not be. */
  readonly receiveCallback: (received: ReceivedCallback) => Promise<{
    readonly verdict: 'kept' | 'bad_signature';
    readonly returnUrl: string | undefined;
  }>;
  readonly countCallback: (channel: Channel, result: string) => void;
  readonly logger: Logger;
}

/** A listener that was built but does not listen yet. */
export interface HttpServer {
  readonly listen: () => Promise<{ readonly url: string }>;
  readonly close: () => Promise<void>;
}

const bodyBytesMax = 64 * 1_024;
const retryAfterSeconds = '5';
const idleSweepMs = 50;
const rawBytes = 'application/octet-stream';
/** Whoever has one address of an IPv6 network of this size has all of them. */
const ipv6Subnet = 64;

/**
 * The public listener: the two callback routes and nothing else. The world can reach it, so it bounds bodies, times and rates, and
 * its answers tell a stranger nothing.
 */
export function createPublicServer(
  options: {
    readonly host: string;
    readonly port: number;
    readonly trustProxy: boolean;
    /** Requests per minute and address, or IPv6 network of 64 bits. */
    readonly requestsPerMinuteMax: number;
    /** Addresses that may push; undefined: all of them. Customers' browsers come from anywhere. */
    readonly notifySources: readonly AddressRange[] | undefined;
  },
  ports: PublicPorts,
): HttpServer {
  const server = fastify({
    bodyLimit: bodyBytesMax,
    // Only the nearest proxy is believed: whatever stands further left in X-Forwarded-For, the client may have written.
    trustProxy: options.trustProxy && ((_address, hop) => hop === 0),
    // A HEAD request would be taken for a message; link checkers send them.
    exposeHeadRoutes: false,
    requestTimeout: 10_000,
    connectionTimeout: 20_000,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
  });
  void server.register(rateLimit, {
    max: options.requestsPerMinuteMax,
    ipv6Subnet,
    timeWindow: '1 minute',
    errorResponseBuilder: (_request, context) => ({ statusCode: context.statusCode }),
  });
  void server.register(async (scope) => {
    // The body stays as it came: signatures and the inbox need its bytes, and parsing is for later.
    scope.removeAllContentTypeParsers();
    // Fastify refuses a content type that is not well-formed, and with it a push that nothing else is wrong with.
    scope.addHook('onRequest', async ({ raw }) => {
      if (raw.headers['content-type'] !== undefined) raw.headers['content-type'] = rawBytes;
    });
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });
    scope.post(
      '/callbacks/notify',
      { onRequest: refuseOtherSources(options.notifySources, ports) },
      async (request, reply) => await answerNotify(request, reply, ports),
    );
    scope.post('/callbacks/redirect', async (request, reply) => {
      const { body } = request;
      const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
      return await answerRedirect(request, reply, ports, bytes, sentContentType(request));
    });
    scope.get('/callbacks/redirect', async (request, reply) => {
      const border = request.url.indexOf('?');
      const query = Buffer.from(border === -1 ? '' : request.url.slice(border + 1));
      const contentType = 'application/x-www-form-urlencoded';
      return await answerRedirect(request, reply, ports, query, contentType);
    });
  });
  server.addHook('onSend', async (_request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
  });
  server.setNotFoundHandler(async (_request, reply) => await plain(reply, 404, 'not found'));
  server.setErrorHandler(async (error, _request, reply) => {
    const status = statusOf(error);
    if (status >= 500) ports.logger.error({ error }, 'a callback request failed');
    return await plain(reply, status, status === 413 ? 'too large' : 'refused');
  });
  return {
    listen: async () => await listenOn(server, { ...options, portVariable: 'CALLBACK_PORT' }),
    close: async () => {
      // A connection that falls idle after the close began would be waited for until its keep-alive ends.
      const sweep = setInterval(() => server.server.closeIdleConnections(), idleSweepMs);
      try {
        await server.close();
      } finally {
        clearInterval(sweep);
      }
    },
  };
}

/** Refuses a push from elsewhere before its body is read. Nothing of it is kept, and its address is personal data: only the metric tells. */
function refuseOtherSources(
  sources: readonly AddressRange[] | undefined,
  { countCallback }: PublicPorts,
): onRequestAsyncHookHandler {
  return async ({ ip }, reply) => {
    if (sources === undefined || isInRanges(ip, sources)) return undefined;
    countCallback('notify', 'source_refused');
    return await plain(reply, 403, 'refused');
  };
}

/** `receive-ok` is said only once the row is committed; anything else makes the gateway try again. */
async function answerNotify(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: PublicPorts,
): Promise<FastifyReply> {
  const { body, ip } = request;
  const received: ReceivedCallback = {
    channel: 'notify',
    contentType: sentContentType(request),
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
    sourceIp: ip,
  };
  const kept = await keep(received, ports);
  if (kept === undefined) {
    return await plain(reply.header('retry-after', retryAfterSeconds), 503, 'try again');
  }
  if (kept.verdict === 'bad_signature') return await plain(reply, 400, 'refused');
  return await plain(reply, 200, 'receive-ok');
}

/** Sends the customer on their way. What the gateway says here is not believed yet, so nothing of it is shown. */
async function answerRedirect(
  { ip }: FastifyRequest,
  reply: FastifyReply,
  ports: PublicPorts,
  body: Buffer,
  contentType: string | undefined,
): Promise<FastifyReply> {
  const kept = await keep({ channel: 'redirect', contentType, body, sourceIp: ip }, ports);
  if (kept === undefined) {
    return await page(reply.header('retry-after', retryAfterSeconds), 503);
  }
  const location = findLocation(kept.returnUrl);
  if (location === undefined) return await page(reply, 200);
  return await reply.code(303).header('location', location).send();
}

async function keep(
  received: ReceivedCallback,
  { receiveCallback, countCallback, logger }: PublicPorts,
): Promise<Awaited<ReturnType<PublicPorts['receiveCallback']>> | undefined> {
  const { channel } = received;
  try {
    const kept = await receiveCallback(received);
    countCallback(channel, kept.verdict);
    return kept;
  } catch (error) {
    countCallback(channel, 'not_kept');
    logger.error({ channel, error }, 'a callback could not be kept; the gateway has to try again');
    return undefined;
  }
}

async function plain(reply: FastifyReply, status: number, text: string): Promise<FastifyReply> {
  return await reply.code(status).type('text/plain; charset=utf-8').send(text);
}

async function page(reply: FastifyReply, status: number): Promise<FastifyReply> {
  return await reply.code(status).type('text/html; charset=utf-8').send(neutralPage);
}

/**
 * A web address in the form that a header can hold. Serialising it drops line breaks and encodes what is not ASCII; as it was
 * written, such an address would break the answer.
 */
function findLocation(returnUrl: string | undefined): string | undefined {
  const url = returnUrl === undefined ? null : URL.parse(returnUrl);
  return url !== null && /^https?:$/.test(url.protocol) ? url.href : undefined;
}

/** The content type as it was sent, from headers that nothing has changed. */
function sentContentType({ raw }: FastifyRequest): string | undefined {
  return raw.headersDistinct['content-type']?.[0];
}

function statusOf(error: unknown): number {
  const status =
    typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : 500;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
}
