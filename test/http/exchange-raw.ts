import { connect } from 'node:net';

/** Sends these exact bytes and returns all that the server sent until it closed the connection. */
export async function exchangeRaw(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return await new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(request));
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(answer));
    // A server that refuses an oversized body may reset the connection after its answer.
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
  });
}
