import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import {
  createGatewayClient,
  type GatewayClient,
  type GatewayOptions,
} from '../../src/gateway/client.ts';
import type { ObserveCall } from '../../src/gateway/call.ts';

/** A request that the server received. */
export interface SeenCall {
  readonly path: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers a request whose body was read. */
export type AnswerCall = (response: ServerResponse) => void;

/** An HTTP server in place of the gateway, with the calls that it received. */
export interface LocalGateway {
  readonly url: string;
  readonly calls: readonly SeenCall[];
}

/** Starts a server on the loopback interface until the test ends. */
export async function startLocalGateway(answer: AnswerCall): Promise<LocalGateway> {
  const calls: SeenCall[] = [];
  const server = createServer((incoming, response) => {
    void text(incoming).then((body) => {
      calls.push({ path: incoming.url, headers: incoming.headers, body });
      answer(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return { url: `http://127.0.0.1:${address.port}`, calls };
}

/** Starts a server that answers so, and a client of it. Both end with the test. */
export async function startGatewayClient(
  answer: AnswerCall,
  options: Partial<GatewayOptions> = {},
): Promise<{
  readonly client: GatewayClient;
  readonly gateway: LocalGateway;
  readonly observed: readonly Parameters<ObserveCall>[0][];
}> {
  const gateway = await startLocalGateway(answer);
  const observed: Parameters<ObserveCall>[0][] = [];
  const client = createGatewayClient(
    {
      checkoutUrl: gateway.url,
      openApiUrl: `${gateway.url}/open-api/v1`,
      timeoutMs: 2_000,
      redirectHostAllowList: ['*.oceanpayment.com'],
      ...options,
    },
    (call) => observed.push(call),
  );
  onTestFinished(client.close);
  return { client, gateway, observed };
}

/** Answers with JSON, or with any text. */
export function answering(body: unknown, status = 200): AnswerCall {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}
