import type { FastifyReply } from 'fastify';
import { asAppError as withoutFastify } from '../../db/connection/faults.ts';
import type { Problem } from '../../domain/payload/api-shapes.ts';
import { AppError, type ErrorCode, retryAfterSeconds } from '../../domain/errors.ts';

/** The media type of RFC 9457. */
export const problemMediaType = 'application/problem+json';

/** The HTTP answer to an error code. Codes that are not listed are faults of the worker: 500. */
interface Kind {
  readonly status: number;
  readonly title: string;
}

const kinds: Partial<Record<ErrorCode, Kind>> = {
  payload_invalid: { status: 400, title: 'The request does not fit its schema' },
  payload_version_unsupported: { status: 400, title: 'The version of the request is not known' },
  api_key_missing: { status: 401, title: 'No API key was sent' },
  api_key_unknown: { status: 401, title: 'The API key is not known' },
  api_keys_not_configured: { status: 401, title: 'There is no API key yet' },
  scope_missing: { status: 403, title: 'The API key may not do this' },
  route_not_found: { status: 404, title: 'There is no such route' },
  tokenization_not_found: { status: 404, title: 'There is no such tokenization' },
  dead_letter_not_found: { status: 404, title: 'There is no such dead letter' },
  reference_conflict: { status: 409, title: 'The reference belongs to another request' },
  state_forbids: { status: 409, title: 'The current state does not allow this' },
  stale_version: { status: 409, title: 'Another change came first' },
  body_too_large: { status: 413, title: 'The body is too large' },
  media_type_unsupported: { status: 415, title: 'The body is not JSON' },
  credential_not_found: { status: 422, title: 'There is no such credential' },
  idempotency_key_mismatch: { status: 422, title: 'Idempotency-Key and reference differ' },
  return_url_not_allowed: { status: 422, title: 'The return address is not allowed' },
  rate_limited: { status: 429, title: 'Too many requests' },
  database_unavailable: { status: 503, title: 'PostgreSQL is unavailable' },
  wait_capacity_reached: { status: 503, title: 'Too many requests wait' },
  access_token_unavailable: { status: 503, title: 'There is no valid access token yet' },
};

const internal: Kind = { status: 500, title: 'A fault of the worker' };

/** The HTTP status and title of an error code. */
export function kindOf(code: ErrorCode): Kind {
  return kinds[code] ?? internal;
}

/** The error that a caller may see for a thrown value. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return refusedByFastify(error) ?? withoutFastify(error);
}

/** The errors that Fastify throws. Their messages may quote the request, so they are replaced. */
function refusedByFastify(error: unknown): AppError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('statusCode' in error)) return undefined;
  const { statusCode } = error;
  if (statusCode === 413) return new AppError('body_too_large', 'Send at most 256 KiB.');
  if (statusCode === 415) {
    return new AppError('media_type_unsupported', 'Send the body as application/json.');
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new AppError('payload_invalid', 'The request or its JSON is malformed; correct it.');
  }
  return undefined;
}

/** The RFC 9457 problem of an error. */
export function problemOf(error: AppError, requestId: string): Problem {
  const { status, title } = kindOf(error.code);
  return {
    type: `urn:token-lifecycle:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    paths: [...error.paths],
    isRetryable: retryAfterSeconds(error.code) !== undefined,
    requestId,
  };
}

/** Answers with a problem. `retryAfterS` replaces the default of the error code. */
export async function sendProblem(
  reply: FastifyReply,
  error: AppError,
  retryAfterS = retryAfterSeconds(error.code),
): Promise<FastifyReply> {
  const { status } = kindOf(error.code);
  if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS));
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="token-lifecycle-worker"');
  // Sent as text, since Fastify would look for a serializer of the route otherwise.
  const body = JSON.stringify(problemOf(error, reply.request.id));
  return await reply.code(status).type(problemMediaType).send(body);
}

/** Answers a request for an unknown route. */
export async function answerNoRoute(_request: unknown, reply: FastifyReply): Promise<FastifyReply> {
  const error = new AppError('route_not_found', 'See /openapi.json for all routes.');
  return await sendProblem(reply, error);
}
