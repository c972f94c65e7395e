import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A proxy that simulates a faulty network in front of PostgreSQL. */
export interface PostgresProxy {
  /** The URL of PostgreSQL through the proxy. */
  readonly url: string;
  /**
   * `black_hole` drops all bytes but keeps connections open. `no_notifications` drops only
   * notifications.
   */
  readonly setMode: (mode: ProxyMode) => void;
  /** The connections of clients that are open now. */
  readonly connections: () => number;
  /** Breaks every connection. */
  readonly cut: () => void;
  /** Breaks every connection and accepts no more. */
  readonly close: () => Promise<void>;
}

type ProxyMode = 'pass' | 'black_hole' | 'no_notifications';

const notification = 'A'.charCodeAt(0);
/** The header of a message: one byte of type, four bytes of length. */
const headBytes = 5;

/** Opens a proxy in front of the server at `url`. */
export async function openPostgresProxy(url: string): Promise<PostgresProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let mode: ProxyMode = 'pass';
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || '5432'), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        for (const one of [client, upstream]) one.destroy();
      });
    }
    client.on('data', (bytes) => mode !== 'black_hole' && upstream.write(bytes));
    let rest: Buffer = Buffer.alloc(0);
    upstream.on('data', (bytes) => {
      if (mode === 'black_hole') return;
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const length = rest.length < headBytes ? Infinity : rest.readUInt32BE(1) + 1;
        if (rest.length < length) return;
        const isDropped = mode === 'no_notifications' && rest[0] === notification;
        if (!isDropped) client.write(rest.subarray(0, length));
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
    // Each client has a connection to the server.
    connections: () => sockets.size / 2,
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
