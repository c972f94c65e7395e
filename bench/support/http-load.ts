import { Agent, request } from 'undici';

/** One request of JSON. */
export interface PostRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object;
}

/** A client with so many connections. */
export interface HttpLoad {
  /** Sends all requests. Resolves to the milliseconds that each took. */
  readonly postAll: (
    requests: readonly PostRequest[],
    expectedStatus: number,
  ) => Promise<readonly number[]>;
  readonly close: () => Promise<void>;
}

/** Opens the connections at the first requests, and keeps them. */
export function openHttpLoad(connections: number): HttpLoad {
  const dispatcher = new Agent({ connections, pipelining: 1 });
  return {
    async postAll(requests, expectedStatus) {
      const left = requests.values();
      const tookMs: number[] = [];
      const send = async (): Promise<void> => {
        for (const { url, headers, body } of left) {
          const startedAt = performance.now();
          const response = await request(url, {
            method: 'POST',
            dispatcher,
            headers: { 'content-type': 'application/json', ...headers },
            body: JSON.stringify(body),
          });
          const text = await response.body.text();
          if (response.statusCode !== expectedStatus) {
            throw new Error(`${response.statusCode} ${text}`);
          }
          tookMs.push(performance.now() - startedAt);
        }
      };
      await Promise.all(Array.from({ length: connections }, send));
      return tookMs;
    },
    close: async () => await dispatcher.close(),
  };
}
