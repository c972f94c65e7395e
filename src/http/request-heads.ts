import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';

const headBytesMax = 1_024;

/** The first bytes of the request that a connection is sending; undefined between requests. */
export type FindRequestHead = (socket: Duplex) => string | undefined;

/**
 * Keeps the first bytes of each connection's current request. Node.js gives the URL of a request
 * that it can't parse only if the fault is in the request's first packet.
 */
export function keepRequestHeads(server: Server): FindRequestHead {
  const heads = new WeakMap<Duplex, string>();
  server.on('connection', (socket) => {
    // In front of the listener of Node.js, which reports a fault before later listeners run.
    socket.prependListener('data', (chunk: Buffer | string) => {
      const head = heads.get(socket) ?? '';
      if (head.length >= headBytesMax) return;
      const rest = chunk.slice(0, headBytesMax - head.length).toString('latin1');
      heads.set(socket, head + rest);
    });
  });
  server.on('request', ({ socket }, response) => {
    response.once('close', () => heads.delete(socket));
  });
  return (socket) => heads.get(socket);
}
