import { fork } from 'node:child_process';
import { once } from 'node:events';

/** What the parent process orders. */
export type GatewayOrder =
  | { readonly kind: 'expect'; readonly calls: number }
  | { readonly kind: 'report' };

/** What the gateway tells. */
export type GatewayMessage =
  | { readonly kind: 'up'; readonly port: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'answered' }
  | ({ readonly kind: 'report' } & GatewayCalls);

/** The creations since the last `expect`. Times are milliseconds since the epoch. */
export interface GatewayCalls {
  readonly calls: number;
  readonly firstAtMs: number;
  /** The arrival of each creation by reference. */
  readonly calledAtMs: readonly (readonly [reference: string, atMs: number])[];
}

/** A gateway in a process of its own. */
export interface GatewayProcess {
  readonly url: string;
  readonly pid: number;
  /** Counts from zero. The result resolves when this many creations have been answered. */
  readonly expect: (calls: number) => Promise<{ readonly answered: Promise<unknown> }>;
  readonly report: () => Promise<GatewayCalls>;
  readonly close: () => Promise<void>;
}

const file = new URL('../processes/gateway.ts', import.meta.url);

/** Starts a gateway that answers directly, or after a random time between two bounds. */
export async function startGatewayProcess(
  delayMs: readonly [min: number, max: number] = [0, 0],
): Promise<GatewayProcess> {
  const child = fork(file, delayMs.map(String));
  const exited = once(child, 'exit');
  const waiting = new Map<GatewayMessage['kind'], (message: GatewayMessage) => void>();
  const untilTold = async <Kind extends GatewayMessage['kind']>(kind: Kind) =>
    await new Promise<Extract<GatewayMessage, { kind: Kind }>>((resolve) => {
      waiting.set(kind, (message) => resolve(message as Extract<GatewayMessage, { kind: Kind }>));
    });
  child.on('message', (message: GatewayMessage) => waiting.get(message.kind)?.(message));
  const { port } = await untilTold('up');
  const order = (given: GatewayOrder): void => void child.send(given);
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    async expect(calls) {
      const ready = untilTold('ready');
      const answered = untilTold('answered');
      order({ kind: 'expect', calls });
      await ready;
      return { answered };
    },
    async report() {
      const report = untilTold('report');
      order({ kind: 'report' });
      return await report;
    },
    async close() {
      child.kill();
      await exited;
    },
  };
}
