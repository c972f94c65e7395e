import type { FastifyServerOptions } from 'fastify';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { callbackTargetOf } from '../domain/callback-url.ts';
import { neutralPage } from './neutral-page.ts';

type ClientErrorHandler = NonNullable<FastifyServerOptions['clientErrorHandler']>;

const statusOfCode: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/**
 * Answers a request that Node.js can't parse, such as one with a space in its URL. It may be a
 * customer's redirect, so the worker redirects it to the return URL of the request whose address is
 * in its first line. Without one it answers with the neutral page.
 */
export function answerMalformedRequest(
  findLocation: (address: string) => Promise<string | undefined>,
  headers: Readonly<Record<string, string>>,
): ClientErrorHandler {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return;
    const location = locate(redirectAddressIn(error), findLocation);
    void sendAnswer(socket, location, { pageStatus: statusOfCode[error.code] ?? 400, headers });
  };
}

interface AnswerParts {
  /** The status of the neutral page. */
  readonly pageStatus: number;
  readonly headers: Readonly<Record<string, string>>;
}

async function sendAnswer(
  socket: Duplex,
  location: Promise<string | undefined>,
  parts: AnswerParts,
): Promise<void> {
  const answer = answerOf(await location, parts);
  if (socket.writable) socket.end(answer, () => socket.destroy());
}

async function locate(
  address: string | undefined,
  findLocation: (address: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    return address === undefined ? undefined : await findLocation(address);
  } catch {
    return undefined;
  }
}

function answerOf(location: string | undefined, { pageStatus, headers }: AnswerParts): string {
  const status = location === undefined ? pageStatus : 303;
  const body = location === undefined ? neutralPage : '';
  const lines = {
    ...headers,
    ...(location === undefined ? { 'content-type': 'text/html; charset=utf-8' } : { location }),
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${body}`;
}

function redirectAddressIn(error: object): string | undefined {
  const packet = 'rawPacket' in error && Buffer.isBuffer(error.rawPacket) ? error.rawPacket : '';
  const start = packet.toString('latin1').slice(0, 1_000);
  const target = callbackTargetOf(/^(?:GET|POST) (\S+)/.exec(start)?.[1] ?? '');
  return target?.channel === 'redirect' ? target.address : undefined;
}
