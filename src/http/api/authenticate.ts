import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiScope } from '../../domain/api-key.ts';
import { AppError } from '../../domain/errors.ts';
import type { KeyLookup, KnownKey } from './key-lookup.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that the API key of a request needs. */
    requiredScope?: ApiScope;
  }
}

/** A `rate_limited` error with the seconds until the limit's window ends. */
export class RateLimitedError extends AppError {
  readonly retryAfterS: number;

  constructor(message: string, retryAfterS: number) {
    super('rate_limited', message);
    this.retryAfterS = retryAfterS;
  }
}

const timeWindow = '1 minute';
const failuresPerMinuteMax = 30;
const bearer = /^Bearer +([\x21-\x7e]{1,256}) *$/i;

/**
 * Admits only requests with a key of the right scope, and limits requests per key and failures per
 * address. After too many failures an address gets 429 without a database query. Valid keys still
 * work from that address, since backends often share one, and guessing 32 random bytes is hopeless.
 */
export async function authenticateRequests(
  scope: FastifyInstance,
  keys: KeyLookup,
  requestsPerMinuteMax: number,
): Promise<(request: FastifyRequest) => KnownKey> {
  const keyByRequest = new WeakMap<FastifyRequest, KnownKey>();
  await scope.register(rateLimit, { global: false });
  const failures = scope.createRateLimit({ max: failuresPerMinuteMax, timeWindow });
  const requests = scope.createRateLimit({
    max: requestsPerMinuteMax,
    timeWindow,
    keyGenerator: (request) => keyByRequest.get(request)?.name ?? '',
  });

  scope.addHook('onRequest', async (request) => {
    const required = request.routeOptions.config.requiredScope;
    if (required === undefined) return;
    const refusal = await admit(request, required);
    if (refusal === undefined) return;
    const counted = await failures(request);
    if (!counted.isAllowed && counted.isExceeded) {
      throw new RateLimitedError(
        'This address sent too many requests without a valid key; wait for Retry-After.',
        counted.ttlInSeconds,
      );
    }
    throw refusal;
  });

  async function admit(request: FastifyRequest, required: ApiScope): Promise<AppError | undefined> {
    const sent = bearer.exec(request.headers.authorization ?? '')?.[1];
    if (sent === undefined) return await keyMissing(keys);
    const failed = await failures(request, { increment: false });
    const isOverLimit = !failed.isAllowed && failed.remaining === 0;
    const key = await keys.find(sent, { isCachedOnly: isOverLimit });
    if (key === undefined) {
      return (await keys.hasAny())
        ? new AppError('api_key_unknown', 'The sent key is not among the active keys.')
        : notConfigured();
    }
    keyByRequest.set(request, key);
    const counted = await requests(request);
    if (!counted.isAllowed && counted.isExceeded) {
      throw new RateLimitedError(
        'This key sent too many requests; wait for Retry-After.',
        counted.ttlInSeconds,
      );
    }
    if (!key.scopes.includes(required)) {
      // Thrown, not returned: a valid key without the scope is no failure of its address.
      throw new AppError('scope_missing', `This route needs a key with the scope ${required}.`);
    }
    return undefined;
  }

  return (request) => {
    const key = keyByRequest.get(request);
    if (key === undefined) throw new AppError('internal', 'The request has no key.');
    return key;
  };
}

async function keyMissing(keys: KeyLookup): Promise<AppError> {
  return (await keys.hasAny())
    ? new AppError('api_key_missing', 'Send the header "Authorization: Bearer <API key>".', {
        paths: ['authorization'],
      })
    : notConfigured();
}

function notConfigured(): AppError {
  return new AppError(
    'api_keys_not_configured',
    'The API has no key yet: add one with "token-worker api-keys add" or API_KEYS.',
  );
}
