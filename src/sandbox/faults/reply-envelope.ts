import { gzipSync } from 'node:zlib';
import type { FastifyReply } from 'fastify';
import type { FaultSwitches } from '../fault-switches.ts';

/** Sends an answer, in the encoding that the fault switches ask for. */
export function sendInEnvelope(
  reply: FastifyReply,
  answer: object,
  envelope: FaultSwitches['replyEnvelope'],
): FastifyReply {
  const json = JSON.stringify(answer);
  switch (envelope) {
    case 'plain':
      return reply.send(answer);
    case 'bom':
      return sendJson(reply, Buffer.from(`\ufeff${json}`));
    case 'utf-16':
      return sendJson(reply, Buffer.from(`\ufeff${json}`, 'utf16le'));
    case 'gzip':
      return sendJson(reply.header('content-encoding', 'gzip'), gzipSync(json));
    case 'data-as-text':
      return reply.send(withData(answer, JSON.stringify));
    case 'data-elsewhere':
      return reply.send(withDataElsewhere(answer));
    case 'unreadable-data':
      return reply.send(withData(answer, () => 'see the attachment'));
  }
}

function sendJson(reply: FastifyReply, bytes: Buffer): FastifyReply {
  return reply.type('application/json').send(bytes);
}

function withData(answer: object, encode: (data: unknown) => string): object {
  return 'data' in answer ? { ...answer, data: encode(answer.data) } : answer;
}

function withDataElsewhere({ data, ...others }: { readonly data?: unknown }): object {
  return { ...others, result: data };
}
