import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import {
  createJsonSchemaTransform,
  createJsonSchemaTransformObject,
} from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ErrorCode } from '../../domain/errors.ts';
import {
  accessTokenView,
  deadLetterPage,
  deadLetterView,
  invalidAccessTokenBody,
  keptCallback,
  problem,
  rawCallbackBody,
  revealedToken,
  timeline,
  timelineEvent,
  tokenizationPage,
  tokenizationRequestBody,
  tokenizationView,
} from '../../domain/payload/api-shapes.ts';
import type { ApiRoute } from './api-route.ts';
import { kindOf, problemMediaType } from './problem.ts';

/** The error codes that every route may answer with. */
const commonProblems = [
  'payload_invalid',
  'api_key_missing',
  'api_key_unknown',
  'api_keys_not_configured',
  'scope_missing',
  'rate_limited',
  'database_unavailable',
  'internal',
] as const satisfies readonly ErrorCode[];
/** The error codes that every route with a body may answer with. */
const bodyProblems = ['body_too_large', 'media_type_unsupported'] as const;

/** The schemas that the document lists by name. */
const namedSchemas = {
  Tokenization: tokenizationView,
  TokenizationPage: tokenizationPage,
  TokenizationRequest: tokenizationRequestBody,
  RawCallback: rawCallbackBody,
  KeptCallback: keptCallback,
  Timeline: timeline,
  TimelineEvent: timelineEvent,
  RevealedToken: revealedToken,
  DeadLetter: deadLetterView,
  DeadLetterPage: deadLetterPage,
  AccessToken: accessTokenView,
  InvalidAccessToken: invalidAccessTokenBody,
  Problem: problem,
} as const;

/** Only requests forbid additional properties, since answers may gain fields within a version. */
const zodToJsonConfig = {
  override: ({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: object }) => {
    if (zodSchema instanceof z.ZodObject && zodSchema.def.catchall === undefined) {
      Reflect.deleteProperty(jsonSchema, 'additionalProperties');
    }
  },
};

const description = `Requests, tokens and their history over HTTP.

Send an API key as a bearer token. A key has scopes: \`enqueue\` enqueues work, \`read\` reads tokenizations, \`reveal\` reveals secrets
(QuickPay IDs, access tokens, OPCCOUNT credentials), and \`operate\` acts on tokens and dead letters. Errors are RFC 9457 problems with a
\`code\` of a closed set; they name fields and never hold a value of the request. The worker takes \`x-request-id\` from the request if it is
at most 64 letters, digits, \`.\`, \`_\` or \`-\`, and generates one otherwise; answers, log lines and audit rows contain it.`;

/** Makes the OpenAPI 3.1 document from the routes that are registered after this call. */
export async function registerOpenApi(scope: FastifyInstance): Promise<void> {
  // The descriptions are in zod's global registry, and the names must be in the same one.
  for (const [id, schema] of Object.entries(namedSchemas)) {
    z.globalRegistry.add(schema, { ...z.globalRegistry.get(schema), id });
  }
  await scope.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'token-lifecycle-worker',
        version: '1.0.0',
        description,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'The private listener' }],
      tags: [
        { name: 'tokenizations', description: 'Requests for QuickPay IDs and their tokens' },
        {
          name: 'callbacks',
          description: 'Messages of the gateway that a backend received itself',
        },
        { name: 'dead letters', description: 'Jobs that failed for good' },
        { name: 'access tokens', description: 'OPCard access tokens' },
        { name: 'credentials', description: 'Credentials that backends sign their own calls with' },
      ],
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'An API key of the worker' },
        },
      },
    },
    transform: createJsonSchemaTransform({ zodToJsonConfig }),
    transformObject: createJsonSchemaTransformObject({ zodToJsonConfig }),
  });
}

/**
 * The document. The plugin adds each named schema in a request and an answer form; unreferenced
 * ones are removed.
 */
export function openApiDocument(scope: FastifyInstance): object {
  const whole: { paths?: unknown; components?: { schemas?: Readonly<Record<string, unknown>> } } =
    scope.swagger();
  const schemas = whole.components?.schemas ?? {};
  const used = new Set<string>();
  const follow = (part: unknown): void => {
    for (const [, id = ''] of JSON.stringify(part).matchAll(/#\/components\/schemas\/(\w+)/g)) {
      if (used.has(id)) continue;
      used.add(id);
      follow(schemas[id]);
    }
  };
  follow(whole.paths);
  const kept = Object.fromEntries(Object.entries(schemas).filter(([id]) => used.has(id)));
  return { ...whole, components: { ...whole.components, schemas: kept } };
}

/** A route's schema for Fastify: it validates requests, serializes answers and documents both. */
export function schemaOf(route: ApiRoute): FastifySchema {
  const { params, query, body, status, answer } = route;
  return {
    operationId: route.operationId,
    summary: route.summary,
    description: [route.description, `Needs a key with the scope \`${route.scope}\`.`]
      .filter((part) => part !== undefined)
      .join('\n\n'),
    tags: [route.tag],
    security: [{ apiKey: [route.scope] }],
    ...(params === undefined ? {} : { params }),
    ...(query === undefined ? {} : { querystring: query }),
    ...(body === undefined ? {} : { body }),
    ...(route.headers === undefined ? {} : { headers: headersOf(route.headers) }),
    response: {
      [status]: {
        description: status === 202 ? 'Accepted' : 'Success',
        content: { 'application/json': { schema: answer } },
      },
      ...problemsOf(route),
    },
  };
}

function headersOf(headers: NonNullable<ApiRoute['headers']>): z.ZodType {
  return z.looseObject(
    Object.fromEntries(
      headers.map(({ name, description: text }) => [name, z.string().optional().describe(text)]),
    ),
  );
}

/** A route's problem answers by status, each with the codes it may have. */
function problemsOf({ problems, body }: ApiRoute): Readonly<Record<number, object>> {
  const codes = [...commonProblems, ...(body === undefined ? [] : bodyProblems), ...problems];
  const statuses = [...new Set(codes.map((code) => kindOf(code).status))];
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: codes
          .filter((code) => kindOf(code).status === status)
          .map((code) => `\`${code}\`: ${kindOf(code).title}`)
          .join('; '),
        content: { [problemMediaType]: { schema: problem } },
      },
    ]),
  );
}
