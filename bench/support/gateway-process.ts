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
  | { readonly kind: 'report'; readonly creations: readonly Creation[] };

/** One creation that the gateway was asked for. */
export interface Creation {
  readonly reference: string;
  readonly orderReferenceId: string;
  readonly quickpayId: string;
  readonly notifyUrl: string;
  /** When the call arrived, in milliseconds since the epoch. */
  readonly calledAtMs: number;
}

/** How the gateway behaves. */
export interface GatewayOptions {
  /** The bounds of its random answer time; default 0. */
  readonly delayMs?: readonly [min: number, max: number] | undefined;
  /** Whether a creation is answered with a token, the default, or with a page for the customer. */
  readonly answers?: 'token' | 'page';
}

/** A gateway in a process of its own. */
export interface GatewayProcess {
  readonly url: string;
  readonly pid: number;
  /** Counts from zero. The result resolves when this many creations have been answered. */
  readonly expect: (calls: number) => Promise<{ readonly answered: Promise<unknown> }>;
  /** The creations since `expect`, in the order of their arrival. */
  readonly report: () => Promise<readonly Creation[]>;
  readonly close: () => Promise<void>;
}

const file = new URL('../processes/gateway.ts', import.meta.url);

/** Starts a gateway, which answers at once unless the options say otherwise. */
export async function startGatewayProcess(options: GatewayOptions): Promise<GatewayProcess> {
  const child = fork(file, [JSON.stringify(options)]);
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
      return (await report).creations;
    },
    async close() {
      child.kill();
      await exited;
    },
  };
}
