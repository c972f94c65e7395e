import { fastify } from 'fastify';
import type { Socket } from 'node:net';
import { AppError } from '../domain/errors.ts';
import type { HealthReport } from '../domain/health.ts';
import type { Logger } from '../observability/logger.ts';
import type { Secret } from '../security/secret.ts';
import { type ApiOptions, type ApiPorts, registerApi, requestIdOf } from './api/register-api.ts';
import { answerNoRoute, problemMediaType, problemOf, sendProblem } from './api/problem.ts';
import { listenOn } from './listen.ts';
import type { HttpServer } from './public-server.ts';
import { type BoardQueue, registerBoard } from './routes/board.ts';
import { registerHealth } from './routes/health.ts';
import { registerMetrics } from './routes/metrics.ts';

/** The dependencies of the private listener. */
export interface PrivatePorts extends ApiPorts {
  /** Whether the process can do its work, and why not. */
  readonly readiness: () => Promise<HealthReport>;
  readonly renderMetrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly boardQueues: readonly BoardQueue[];
  readonly logger: Logger;
}

/** Creates the private listener: HTTP API, health, metrics, and a read-only queue board. */
export function createPrivateServer(
  options: {
    readonly host: string;
    readonly port: number;
    readonly console?: { readonly user: string; readonly passwordHash: Secret } | undefined;
    readonly api: ApiOptions;
  },
  ports: PrivatePorts,
): HttpServer {
  const server = fastify({
    requestTimeout: 30_000,
    forceCloseConnections: true,
    genReqId: ({ headers }) => requestIdOf(headers['x-request-id']),
    // Fastify's own answer would quote the URL.
    frameworkErrors: (_error, _request, reply) => {
      void sendProblem(reply, new AppError('payload_invalid', 'The URL is malformed; correct it.'));
    },
    clientErrorHandler: answerBrokenRequest,
  });
  server.setNotFoundHandler(answerNoRoute);
  registerHealth(server, ports.readiness);
  registerMetrics(server, ports.renderMetrics);
  registerBoard(server, options.console, ports.boardQueues);
  registerApi(server, options.api, ports);
  server.setErrorHandler(async (error, _request, reply) => {
    const status =
      error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
        ? error.statusCode
        : 500;
    if (status >= 500) ports.logger.error({ error }, 'request to the private listener failed');
    const text = status === 401 ? 'log in' : 'refused';
    return await reply.code(status).type('text/plain; charset=utf-8').send(text);
  });
  return {
    listen: async () => await listenOn(server, { ...options, portVariable: 'OPS_PORT' }),
    close: async () => {
      await server.close();
    },
  };
}

/** Answers malformed HTTP and oversized headers, for which Fastify creates no request. */
function answerBrokenRequest(_error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const error = new AppError(
    'payload_invalid',
    'The request is malformed, or its headers are too large.',
  );
  const body = JSON.stringify(problemOf(error, requestIdOf(undefined)));
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: ${problemMediaType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
