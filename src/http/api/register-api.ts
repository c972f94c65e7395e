import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { listActiveApiKeys } from '../../db/api-keys.ts';
import { findProgress } from '../../db/tokenization-pages.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import { refusalOf } from '../../domain/payload/payload-paths.ts';
import type { AccessTokenReader } from '../../access-token/read/reader.ts';
import type { ObservedApiRequest } from '../../observability/metrics.ts';
import type { Logger } from '../../observability/logger.ts';
import { apiRoutes } from '../routes/v1/api-routes.ts';
import type { ApiDependencies, ApiRoute } from './api-route.ts';
import { authenticateRequests, RateLimitedError } from './authenticate.ts';
import { createKeyLookup, type KnownKey } from './key-lookup.ts';
import { openApiDocument, registerOpenApi, schemaOf } from './openapi.ts';
import { answerNoRoute, asAppError, kindOf, sendProblem } from './problem.ts';
import { createTokenizationWaiters } from '../../tokenization/read/long-poll.ts';

/** The dependencies of the API. */
export interface ApiPorts {
  readonly operations: OperationDependencies;
  readonly accessTokens: Pick<AccessTokenReader, 'read' | 'invalidate'>;
  readonly observeApiRequest: (request: ObservedApiRequest) => void;
}

/** The API keys of the environment, and the rate limit of every key. */
export interface ApiOptions {
  readonly keys: readonly KnownKey[];
  readonly requestsPerMinuteMax: number;
}

const bodyBytesMax = 256 * 1_024;
const requestIdShape = /^[A-Za-z0-9._-]{1,64}$/;

/** The id of the request's header if its form is safe for logs; a new id otherwise. */
export function requestIdOf(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' && requestIdShape.test(header) ? header : randomUUID();
}

/**
 * Registers the HTTP API under `/v1` and its OpenAPI document. Each route is a file in `routes/v1`;
 * here is what they share: parsing, API keys, limits, request ids, problems and the log.
 */
export function registerApi(
  server: FastifyInstance,
  options: ApiOptions,
  { operations, accessTokens, observeApiRequest, logger }: ApiPorts & { readonly logger: Logger },
): void {
  const waiters = createTokenizationWaiters(async (ids) => await findProgress(operations.db, ids));
  const dependencies: ApiDependencies = { ...operations, waiters, accessTokens };
  const inFlight = new Set<FastifyRequest>();

  void server.register(async (scope) => {
    await registerOpenApi(scope);
    scope.get(
      '/openapi.json',
      { schema: { hide: true } },
      async (_request, reply) => await reply.type('application/json').send(openApiDocument(scope)),
    );
    await scope.register(
      async (v1) => {
        answerWithProblems(v1, logger);
        acceptJsonOnly(v1);
        v1.addHook('onRequest', async (request, reply) => {
          inFlight.add(request);
          reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store' });
        });
        v1.addHook('onResponse', async (request, reply) => {
          inFlight.delete(request);
          recordRequest(request, reply, { logger, observeApiRequest });
        });
        v1.addHook('onRequestAbort', async (request) => {
          inFlight.delete(request);
        });
        const lookup = createKeyLookup(async () => await readStoredKeys(operations), options.keys);
        const keyOf = await authenticateRequests(v1, lookup, options.requestsPerMinuteMax);
        for (const route of apiRoutes) addRoute(v1, route, keyOf, dependencies);
      },
      { prefix: '/v1' },
    );
  });
  server.addHook('preClose', async () => {
    // Long polls get the current state before their connections are closed.
    waiters.close();
    await untilEmpty(inFlight);
  });
}

async function readStoredKeys({ db }: OperationDependencies): Promise<readonly KnownKey[]> {
  const rows = await listActiveApiKeys(db);
  return rows.map(({ name, key_sha256: sha256, scopes }) => ({ name, sha256, scopes }));
}

function addRoute(
  v1: FastifyInstance,
  route: ApiRoute,
  keyOf: (request: FastifyRequest) => KnownKey,
  dependencies: ApiDependencies,
): void {
  v1.route({
    method: route.method,
    url: route.path,
    bodyLimit: bodyBytesMax,
    schema: schemaOf(route),
    config: { requiredScope: route.scope },
    handler: async (request, reply) => {
      const hungUp = new AbortController();
      reply.raw.once('close', () => hungUp.abort());
      const answer = await route.handleParsed(
        {
          params: request.params,
          query: request.query,
          body: request.body,
          header: (name) => textOf(request.headers[name]),
          setHeader: (name, value) => void reply.header(name, value),
          audit: { actor: { type: 'backend', id: keyOf(request).name }, traceId: request.id },
          signal: hungUp.signal,
        },
        dependencies,
      );
      return await reply.code(route.status).send(answer);
    },
  });
}

/** Validates with zod, and answers every error and every unknown route with a problem. */
function answerWithProblems(v1: FastifyInstance, logger: Logger): void {
  v1.setValidatorCompiler(({ schema }) => (data: unknown) => {
    if (!(schema instanceof z.ZodType)) return { value: data };
    const parsed = schema.safeParse(data);
    if (parsed.success) return { value: parsed.data };
    return { error: refusalOf('this request', data, parsed.error.issues) };
  });
  v1.setSerializerCompiler(serializerCompiler);
  v1.setErrorHandler(async (thrown, request, reply) => {
    const error = asAppError(thrown);
    if (kindOf(error.code).status >= 500) {
      logger.error({ requestId: request.id, error }, 'API request failed');
    }
    return error instanceof RateLimitedError
      ? await sendProblem(reply, error, error.retryAfterS)
      : await sendProblem(reply, error);
  });
  v1.setNotFoundHandler(answerNoRoute);
}

/**
 * Accepts JSON only. Many clients send a content type without a body, which Fastify's parser would
 * refuse as broken JSON.
 */
function acceptJsonOnly(v1: FastifyInstance): void {
  v1.addHook('onRequest', async ({ headers }) => {
    // Some HTTP clients send the content type of a form with a POST without a body.
    if (headers['content-length'] === '0') delete headers['content-type'];
  });
  v1.removeContentTypeParser('text/plain');
  const parse = v1.getDefaultJsonParser('error', 'error');
  v1.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else void parse(request, String(body), done);
  });
}

function recordRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  { logger, observeApiRequest }: Pick<ApiPorts, 'observeApiRequest'> & { readonly logger: Logger },
): void {
  const { method, id: requestId } = request;
  // The route's pattern, never the URL: its query may hold a customer id or a QuickPay ID.
  const route = request.routeOptions.url ?? 'none';
  const { statusCode: status, elapsedTime: durationMs } = reply;
  observeApiRequest({ method, route, status, durationMs });
  const fields = { requestId, method, route, status, durationMs: Math.round(durationMs) };
  logger.info(fields, 'API request answered');
}

const drainMs = 2_000;

/** Resolves when every request is answered, or after two seconds. */
async function untilEmpty(inFlight: ReadonlySet<unknown>): Promise<void> {
  const deadline = performance.now() + drainMs;
  while (inFlight.size > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
