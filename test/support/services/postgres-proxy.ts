import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A faulty network in front of PostgreSQL. */
export interface PostgresProxy {
  /** The URL that leads through it. */
  readonly url: string;
  /** `black`: everything is swallowed, connections stand. `deaf`: notifications are swallowed, answers are not. */
  readonly setMode: (mode: 'pass' | 'black' | 'deaf') => void;
  /** Breaks every connection. */
  readonly cut: () => void;
  /** Breaks every connection and takes no more. */
  readonly close: () => Promise<void>;
}

const notification = 'A'.charCodeAt(0);
/** A message is a type of one byte, then a length of four that counts itself. */
const headBytes = 5;

/** Opens one in front of the server that `url` names. */
export async function openPostgresProxy(url: string): Promise<PostgresProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let mode: 'pass' | 'black' | 'deaf' = 'pass';
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || '5432'), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => [client, upstream].forEach((one) => one.destroy()));
    }
    client.on('data', (bytes) => mode !== 'black' && upstream.write(bytes));
    let rest: Buffer = Buffer.alloc(0);
    upstream.on('data', (bytes) => {
      if (mode === 'black') return;
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const length = rest.length < headBytes ? Infinity : rest.readUInt32BE(1) + 1;
        if (rest.length < length) return;
        if (mode !== 'deaf' || rest[0] !== notification) client.write(rest.subarray(0, length));
        rest = rest.subarray(length);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String(typeof address === 'object' ? address?.port : '');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    url: through.href,
    setMode(next) {
      mode = next;
    },
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
