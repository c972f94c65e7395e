import { connect } from 'node:net';

/**
 * Sends these exact bytes and returns all that the server sent until it closed the connection. Each
 * further part is sent after the next bytes of the server.
 */
export async function exchangeRaw(url: string, ...parts: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(url);
  const [request = '', ...rest] = parts;
  return await new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(request));
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
      const part = rest.shift();
      if (part !== undefined) socket.write(part);
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(answer));
    // A server that refuses an oversized body may reset the connection after its answer.
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
  });
}
