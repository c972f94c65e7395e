import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** An address that leads to one server after another, like the DNS name of a primary. */
export interface MovableAddress {
  readonly port: number;
  /** New connections lead to this port; open ones stay where they are. */
  readonly leadTo: (port: number) => void;
  /** Breaks every open connection. */
  readonly cut: () => void;
}

/** Opens such an address until the test ends. */
export async function openMovableAddress(initialPort: number): Promise<MovableAddress> {
  let target = initialPort;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    leadTo(port) {
      target = port;
    },
    cut,
  };
}
