import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A reverse proxy in front of a local port that strips `prefix` from each path, or keeps all of it.
 * It passes everything else byte by byte, and so requests that no HTTP server can parse.
 */
export async function startPathProxy(port: number, prefix: string): Promise<{ url: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => [client, upstream].forEach((end) => end.destroy()));
    }
    client.on('data', (chunk) => {
      const request = chunk.toString('latin1');
      const border = request.indexOf(' ') + 1;
      const isPrefixed = prefix !== '' && request.startsWith(prefix, border);
      const passed = isPrefixed
        ? request.slice(0, border) + request.slice(border + prefix.length)
        : request;
      upstream.write(passed, 'latin1');
    });
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` };
}
