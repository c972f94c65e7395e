import type { FastifyServerOptions } from 'fastify';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { callbackTargetOf, type CallbackTarget } from '../domain/callback-url.ts';
import { neutralPage } from './neutral-page.ts';
import type { FindRequestHead } from './request-heads.ts';

type ClientErrorHandler = NonNullable<FastifyServerOptions['clientErrorHandler']>;

const statusOfCode: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/**
 * Answers a request that Node.js can't parse, such as one with a space in its URL or with too many
 * headers. It may be a message to the callback URL in its first line: `receive` has the gateway
 * queried about it and finds the way back of its customer. Without one, the answer is the neutral
 * page.
 */
export function answerMalformedRequest(
  findHead: FindRequestHead,
  receive: (target: CallbackTarget | undefined) => Promise<string | undefined>,
  headers: Readonly<Record<string, string>>,
): ClientErrorHandler {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return;
    const location = receive(targetIn(findHead(socket) ?? ''));
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

function targetIn(head: string): CallbackTarget | undefined {
  return callbackTargetOf(/^\s*(?:GET|POST|PUT) (\S+)/.exec(head)?.[1] ?? '');
}
