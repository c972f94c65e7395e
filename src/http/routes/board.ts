import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import basicAuth from '@fastify/basic-auth';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import type { Secret } from '../../security/secret.ts';
import { verifyPassword } from '../../security/password.ts';

/** A BullMQ queue in the type that the board takes. */
export type BoardQueue = ConstructorParameters<typeof BullMQAdapter>[0];

const basePath = '/queues';
const timeWindow = '1 minute';
const requestsPerMinuteMax = 600;
const failedLoginsPerMinuteMax = 10;
const offText = `The board is off: set CONSOLE_USER and CONSOLE_PASSWORD_HASH ("token-worker keys password" prints a hash).`;

/** The payload keys that the board shows: ids and codes, no content. */
const shownKeys = new Set([
  'v',
  'tokenizationId',
  'callbackId',
  'deliveryId',
  'deadLetterId',
  'credential',
  'generation',
  'result',
]);

/**
 * Registers `/queues`: bull-board, read-only, behind the console's login. The formatter hides parts
 * of payloads and results. The board shows failure reasons, options and scheduler templates as they
 * are, so the worker puts only codes and ids into them.
 */
export function registerBoard(
  server: FastifyInstance,
  login: { readonly user: string; readonly passwordHash: Secret } | undefined,
  queues: readonly BoardQueue[],
): void {
  if (login === undefined) {
    for (const path of [basePath, `${basePath}/*`]) {
      server.all(
        path,
        async (_request, reply) => await reply.code(404).type('text/plain').send(offText),
      );
    }
    return;
  }
  const adapter = new FastifyAdapter();
  adapter.setBasePath(basePath);
  createBullBoard({
    queues: queues.map((queue) => {
      const shown = new BullMQAdapter(queue, { readOnlyMode: true, allowRetries: false });
      for (const field of ['data', 'returnValue', 'progress'] as const) {
        shown.setFormatter(field, onlyShownKeys);
      }
      return shown;
    }),
    serverAdapter: asServerAdapter(adapter),
    options: { uiConfig: { boardTitle: 'token-lifecycle-worker' } },
  });
  void server.register(async (scope) => {
    await scope.register(rateLimit, { global: false });
    // The plugin's automatic limit would run after the login and miss failed logins.
    scope.addHook('onRequest', scope.rateLimit({ max: requestsPerMinuteMax, timeWindow }));
    const failedLogins = scope.createRateLimit({ max: failedLoginsPerMinuteMax, timeWindow });
    await scope.register(basicAuth, {
      authenticate: { realm: 'token-lifecycle-worker' },
      validate: async (user, password, request) => {
        const failed = await failedLogins(request, { increment: false });
        if (!failed.isAllowed && failed.remaining === 0) throw httpError(429);
        // A wrong user costs a password check too, so that timing does not reveal user names.
        const fits = await verifyPassword(password, login.passwordHash.reveal());
        if (fits && user === login.user) return;
        await failedLogins(request);
        throw httpError(401);
      },
    });
    scope.addHook('onRequest', scope.basicAuth);
    await scope.register(adapter.registerPlugin(), { prefix: basePath });
  });
}

type ServerAdapter = Parameters<typeof createBullBoard>[0]['serverAdapter'];

/** Casts bull-board's adapter, whose type differs from its interface in one optional property. */
function asServerAdapter(adapter: object): ServerAdapter {
  return adapter as ServerAdapter;
}

function httpError(statusCode: 401 | 429): Error {
  return Object.assign(new Error('refused'), { statusCode });
}

function onlyShownKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.fromEntries(Object.entries(value).filter(([key]) => shownKeys.has(key)));
}
