import type { FastifyRequest } from 'fastify';

/** A message of the gateway as HTTP delivered it. */
export interface ReceivedEnvelope {
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** The query string of a request that has a body too. */
  readonly query: string | undefined;
  readonly body: Buffer;
}

/**
 * The message of a request. Without a body, the query string is the message: a redirect by GET, or
 * a POST whose sender put its fields there.
 */
export function envelopeOf(request: FastifyRequest): ReceivedEnvelope {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const border = request.url.indexOf('?');
  const query = border === -1 ? '' : request.url.slice(border + 1);
  if (body.length > 0) {
    return {
      contentType: sentContentType(request),
      contentEncoding: request.raw.headersDistinct['content-encoding']?.join(','),
      query: query === '' ? undefined : query,
      body,
    };
  }
  return {
    contentType:
      query === '' && request.method !== 'GET'
        ? sentContentType(request)
        : 'application/x-www-form-urlencoded',
    contentEncoding: undefined,
    query: undefined,
    body: Buffer.from(query),
  };
}

/** The content type as sent, from the headers that the listener does not overwrite. */
function sentContentType({ raw }: FastifyRequest): string | undefined {
  return raw.headersDistinct['content-type']?.[0];
}
