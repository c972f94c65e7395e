import rateLimit from '@fastify/rate-limit';
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type onRequestAsyncHookHandler,
} from 'fastify';
import { callbackTargetOf, routedUrl } from '../domain/callback-url.ts';
import type { Channel } from '../domain/callback.ts';
import {
  type AddressRange,
  bareAddress,
  ipv6SenderBits,
  isInRanges,
} from '../security/addresses.ts';
import { envelopeOf, type ReceivedEnvelope } from './callback-envelope.ts';
import { listenOn } from './listen.ts';
import { answerMalformedRequest } from './malformed-request.ts';
import { neutralPage } from './neutral-page.ts';
import { keepRequestHeads } from './request-heads.ts';
import {
  createReceiveUnstorable,
  type ReceiveUnstorable,
  type UnstorablePorts,
} from './unstorable-messages.ts';

/** A message of the gateway as received over HTTP. */
export interface ReceivedCallback extends ReceivedEnvelope {
  readonly channel: Channel;
  /** The last segment of a per-request URL; undefined for a shared URL. */
  readonly address: string | undefined;
  readonly sourceIp: string;
}

/** The dependencies of the public listener. */
export interface PublicPorts extends UnstorablePorts {
  /** Stores the message. Resolves after the commit and throws if there was none. */
  readonly receiveCallback: (received: ReceivedCallback) => Promise<{
    readonly verdict: 'kept' | 'bad_signature';
    readonly returnUrl: string | undefined;
  }>;
  readonly countCallback: (channel: Channel, result: string) => void;
}

/** A configured listener, which listens only after `listen`. */
export interface HttpServer {
  readonly listen: () => Promise<{ readonly url: string }>;
  readonly close: () => Promise<void>;
}

const bodyBytesMax = 64 * 1_024;
/** The most bytes of a request line and its headers: a redirect by GET has its fields there. */
const headerBytesMax = 64 * 1_024;
const retryAfterSeconds = '5';
const idleSweepMs = 50;
const rawBytes = 'application/octet-stream';
/** The gateway does not document its method; without a body, the query string is the message. */
const messageMethods = ['GET', 'POST', 'PUT'] as const;

const answerHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/**
 * Creates the public listener with the two callback routes only. The internet can reach it, so it
 * limits body sizes, times and rates, and its answers reveal nothing to an unverified sender.
 */
export function createPublicServer(
  options: {
    readonly host: string;
    readonly port: number;
    readonly trustProxy: boolean;
    /** The limit of one IPv4 address or one IPv6 network of 64 bits. */
    readonly requestsPerMinuteMax: number;
    /** The body of the answer to a push that was stored. */
    readonly acknowledgement: string;
    /** The addresses that may push; undefined allows all. Redirects come from any address. */
    readonly notifySources?: readonly AddressRange[] | undefined;
  },
  ports: PublicPorts,
): HttpServer {
  const receiveUnstorable = createReceiveUnstorable(ports);
  const server = fastify({
    bodyLimit: bodyBytesMax,
    // Only the nearest proxy is trusted: the client can forge the entries further left in
    // X-Forwarded-For.
    trustProxy: options.trustProxy && ((_address, hop) => hop === 0),
    // Link checkers send HEAD requests, which would be stored as messages.
    exposeHeadRoutes: false,
    // Browsers, proxies and gateways alter URLs, and a lost redirect strands a customer.
    rewriteUrl: ({ url = '/' }) => routedUrl(url),
    http: { maxHeaderSize: headerBytesMax },
    clientErrorHandler: answerMalformedRequest(
      (socket) => findRequestHead(socket),
      async (target) => findLocation(await receiveUnstorable(target)),
      answerHeaders,
    ),
    frameworkErrors: (_error, _request, reply) => {
      void sendText(reply.headers(answerHeaders), 400, 'refused');
    },
    requestTimeout: 10_000,
    connectionTimeout: 20_000,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
  });
  const findRequestHead = keepRequestHeads(server.server);
  if (options.trustProxy) server.addHook('onRequest', async ({ raw }) => stripForwardedPorts(raw));
  void server.register(rateLimit, {
    max: options.requestsPerMinuteMax,
    ipv6Subnet: ipv6SenderBits,
    timeWindow: '1 minute',
    errorResponseBuilder: (_request, context) => ({ statusCode: context.statusCode }),
  });
  void server.register(async (scope) => {
    // The inbox and signature checks need the body's exact bytes; a job parses them later.
    scope.removeAllContentTypeParsers();
    // Fastify would refuse a valid push whose content type is malformed.
    scope.addHook('onRequest', async ({ raw }) => {
      if (raw.headers['content-type'] !== undefined) raw.headers['content-type'] = rawBytes;
    });
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });
    for (const address of ['', '/:address']) {
      scope.route({
        method: [...messageMethods],
        url: `/callbacks/notify${address}`,
        onRequest: refuseOtherSources(options.notifySources, ports),
        handler: async (request, reply) =>
          await answerNotify(request, reply, ports, options.acknowledgement),
      });
      scope.route({
        method: [...messageMethods],
        url: `/callbacks/redirect${address}`,
        handler: async (request, reply) =>
          await answerRedirect(request, reply, ports, receiveUnstorable),
      });
    }
  });
  server.addHook('onSend', async (_request, reply) => {
    reply.headers(answerHeaders);
  });
  server.setNotFoundHandler(async (_request, reply) => await sendText(reply, 404, 'not found'));
  server.setErrorHandler(
    async (error, request, reply) =>
      await answerError(error, request, reply, ports, receiveUnstorable),
  );
  return {
    listen: async () => await listenOn(server, { ...options, portVariable: 'CALLBACK_PORT' }),
    close: async () => await closeListener(server),
  };
}

/** Closes a listener. Without the sweep, this waits for connections that become idle later. */
async function closeListener(server: FastifyInstance): Promise<void> {
  const sweep = setInterval(() => server.server.closeIdleConnections(), idleSweepMs);
  try {
    await server.close();
  } finally {
    clearInterval(sweep);
  }
}

/**
 * Rewrites X-Forwarded-For to bare addresses, before Fastify reads the sender from it. Some
 * proxies, such as Azure Application Gateway, add the sender's port, which no address list matches.
 */
function stripForwardedPorts({ headers }: FastifyRequest['raw']): void {
  const forwarded = headers['x-forwarded-for'];
  if (forwarded === undefined) return;
  headers['x-forwarded-for'] = [forwarded].flat().join().split(',').map(bareAddress).join(', ');
}

/**
 * Refuses a push from an address that is not allowed, before its body is read. Only a metric
 * records it: the address is personal data.
 */
function refuseOtherSources(
  sources: readonly AddressRange[] | undefined,
  { countCallback }: PublicPorts,
): onRequestAsyncHookHandler {
  return async ({ ip }, reply) => {
    if (sources === undefined || isInRanges(ip, sources)) return undefined;
    countCallback('notify', 'source_refused');
    return await sendText(reply, 403, 'refused');
  };
}

/** Answers a request that is not stored, such as one with a large body or over the rate limit. */
async function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  ports: PublicPorts,
  receiveUnstorable: ReceiveUnstorable,
): Promise<FastifyReply> {
  const status = statusOf(error);
  if (status >= 500) ports.logger.error({ error }, 'callback request failed');
  const channel = callbackTargetOf(request.routeOptions.url ?? '')?.channel;
  if (channel !== undefined) {
    ports.countCallback(channel, 'not_kept');
    const returnUrl = await receiveUnstorable({ channel, address: addressOf(request) });
    // A customer must not be stranded.
    if (channel === 'redirect') return await sendHome(reply, returnUrl, status);
  }
  return await sendText(reply, status, status === 413 ? 'too large' : 'refused');
}

/** Acknowledges only after the commit. The gateway retries after any other answer. */
async function answerNotify(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: PublicPorts,
  acknowledgement: string,
): Promise<FastifyReply> {
  const received = receivedCallback('notify', request);
  const stored = await storeCallback(received, ports);
  if (stored === undefined) {
    return await sendText(reply.header('retry-after', retryAfterSeconds), 503, 'try again');
  }
  if (stored.verdict === 'bad_signature') return await sendText(reply, 400, 'refused');
  return await sendText(reply, 200, acknowledgement);
}

/**
 * Sends the customer back to the shop. The answer shows nothing of the message: it is unverified.
 */
async function answerRedirect(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: PublicPorts,
  receiveUnstorable: ReceiveUnstorable,
): Promise<FastifyReply> {
  const received = receivedCallback('redirect', request);
  const stored = await storeCallback(received, ports);
  if (stored === undefined) {
    return await sendHome(reply, await receiveUnstorable(received), 503);
  }
  return await sendHome(reply, stored.returnUrl, 200);
}

/** The way back to the shop, or else the neutral page with `pageStatus`. */
async function sendHome(
  reply: FastifyReply,
  returnUrl: string | undefined,
  pageStatus: number,
): Promise<FastifyReply> {
  const location = findLocation(returnUrl);
  if (location === undefined) return await sendPage(reply, pageStatus);
  return await reply.code(303).header('location', location).send();
}

function receivedCallback(channel: Channel, request: FastifyRequest): ReceivedCallback {
  return { channel, address: addressOf(request), ...envelopeOf(request), sourceIp: request.ip };
}

function addressOf({ params }: FastifyRequest): string | undefined {
  const address =
    typeof params === 'object' && params !== null && 'address' in params ? params.address : '';
  return typeof address === 'string' && address !== '' ? address : undefined;
}

async function storeCallback(
  received: ReceivedCallback,
  { receiveCallback, countCallback, logger }: PublicPorts,
): Promise<Awaited<ReturnType<PublicPorts['receiveCallback']>> | undefined> {
  const { channel } = received;
  try {
    const stored = await receiveCallback(received);
    countCallback(channel, stored.verdict);
    return stored;
  } catch (error) {
    countCallback(channel, 'not_kept');
    logger.error(
      { channel, error },
      channel === 'notify'
        ? 'callback was not stored; answered 503 so that the gateway retries'
        : 'callback was not stored',
    );
    return undefined;
  }
}

async function sendText(reply: FastifyReply, status: number, text: string): Promise<FastifyReply> {
  return await reply.code(status).type('text/plain; charset=utf-8').send(text);
}

async function sendPage(reply: FastifyReply, status: number): Promise<FastifyReply> {
  if (status === 503) reply.header('retry-after', retryAfterSeconds);
  return await reply.code(status).type('text/html; charset=utf-8').send(neutralPage);
}

/**
 * The return URL in a form that a header can hold. Serializing drops line breaks and encodes other
 * characters than ASCII; the raw text could break the response.
 */
function findLocation(returnUrl: string | undefined): string | undefined {
  const url = returnUrl === undefined ? null : URL.parse(returnUrl);
  return url !== null && /^https?:$/.test(url.protocol) ? url.href : undefined;
}

function statusOf(error: unknown): number {
  const status =
    typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : 500;
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
}
