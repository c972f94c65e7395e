import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiScope } from '../../domain/api-key.ts';
import { AppError } from '../../domain/errors.ts';
import type { KeyLookup, KnownKey } from './key-lookup.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the API key of a request has to allow. */
    requiredScope?: ApiScope;
  }
}

/** An error that says itself when to come back, in seconds. */
export class RetryLater extends AppError {
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
 * Lets only requests with a key of the right scope through, and counts them: requests by key, failures by address. An address with
 * too many failures is answered 429 in place of 401 without a look at the database; keys that are right still work from
 * there, since backends often share an address, and no number of guesses comes near 32 random bytes.
 */
export async function authenticateRequests(
  scope: FastifyInstance,
  keys: KeyLookup,
  requestsPerMinuteMax: number,
): Promise<(request: FastifyRequest) => KnownKey> {
  const known = new WeakMap<FastifyRequest, KnownKey>();
  await scope.register(rateLimit, { global: false });
  const failures = scope.createRateLimit({ max: failuresPerMinuteMax, timeWindow });
  const requests = scope.createRateLimit({
    max: requestsPerMinuteMax,
    timeWindow,
    keyGenerator: (request) => known.get(request)?.name ?? '',
  });

  scope.addHook('onRequest', async (request) => {
    const required = request.routeOptions.config.requiredScope;
    if (required === undefined) return;
    const refusal = await admit(request, required);
    if (refusal === undefined) return;
    const counted = await failures(request);
    if (!counted.isAllowed && counted.isExceeded) {
      throw new RetryLater('Too many requests without a good key.', counted.ttlInSeconds);
    }
    throw refusal;
  });

  async function admit(request: FastifyRequest, required: ApiScope): Promise<AppError | undefined> {
    const sent = bearer.exec(request.headers.authorization ?? '')?.[1];
    if (sent === undefined) return await keyMissing(keys);
    const failed = await failures(request, { increment: false });
    const isWary = !failed.isAllowed && failed.remaining === 0;
    const key = await keys.find(sent, { isCachedOnly: isWary });
    if (key === undefined) {
      return (await keys.hasAny())
        ? new AppError('api_key_unknown', 'No key in force is like the one that was sent.')
        : notConfigured();
    }
    known.set(request, key);
    const counted = await requests(request);
    if (!counted.isAllowed && counted.isExceeded) {
      throw new RetryLater('This key has sent too many requests.', counted.ttlInSeconds);
    }
    if (!key.scopes.includes(required)) {
      // The key is a good one, so this is no failure to count against the address.
      throw new AppError('scope_missing', `This needs a key with the scope ${required}.`);
    }
    return undefined;
  }

  return (request) => {
    const key = known.get(request);
    if (key === undefined) throw new AppError('internal', 'A request has no key.');
    return key;
  };
}

async function keyMissing(keys: KeyLookup): Promise<AppError> {
  return (await keys.hasAny())
    ? new AppError('api_key_missing', 'Send "Authorization: Bearer" and a key.', {
        paths: ['authorization'],
      })
    : notConfigured();
}

function notConfigured(): AppError {
  return new AppError(
    'api_keys_not_configured',
    'The API has no key yet: add one with "token-worker keys api-add" or API_KEYS.',
  );
}
