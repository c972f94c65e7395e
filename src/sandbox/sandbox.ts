/**
 * A stand-in for the payment gateway, for demos, tests and a merchant's own CI: QuickPay create,
 * query and cancel, the hosted authorisation page with its signed redirect, push notifications,
 * and OPCard OAuth. All state is in memory.
 *
 * The remark of a create (`order.remark`) selects its scenario, so that a test is deterministic:
 *
 *     sandbox:redirect        answers a url and waits for the customer's decision (the default)
 *     sandbox:direct          answers the token without a url (the default of `Credit Card`)
 *     sandbox:direct-failed   answers code 000 with status 0, without a url
 *     sandbox:refuse          answers a refusal and creates nothing
 *     sandbox:approve         answers a url, then approves by itself; only a push reports it
 *     sandbox:decline         answers a url, then declines by itself; only a push reports it
 *
 * Modifiers follow a behaviour or change the default one, as in `sandbox:approve+duplicated` or
 * `sandbox:late+forged`:
 *
 *     duplicated      sends the push twice
 *     forged          sends three forged pushes first
 *     contradicting   sends a signed failure after the success
 *     dropped         sends no genuine push
 *     late            sends the push two seconds late
 *     lost-reply      resets the connection after the effect of the first create call of a request
 *
 * Fault switches change all traffic. `faultSwitchesSchema` describes them; `setFaults` and
 * `PUT /sandbox/faults` set them. The other controls are `GET /sandbox/state`,
 * `POST /sandbox/reset` and `PUT /sandbox/seed`.
 *
 * A script plays the browser with `POST /bank/quickPay/decide` and `Accept: application/json`. The
 * answer is `{redirectUrl, fields}`, with fields as pairs for `new URLSearchParams(fields)`.
 * `POST /card-api/v1/probe` shows whether an access token is valid.
 */
import { type FaultSwitches, patchFaults } from './fault-switches.ts';
import { createContext } from './sandbox-context.ts';
import { type SandboxOptions, resolveOptions } from './sandbox-options.ts';
import { buildServer, listen } from './sandbox-server.ts';
import { type SandboxSnapshot, takeSnapshot } from './sandbox-snapshot.ts';

export { type FaultSwitches, faultDefaults, faultSwitchesSchema } from './fault-switches.ts';
export type { SandboxEvent } from './sandbox-event.ts';
export {
  type SandboxAccount,
  type SandboxOpcardApp,
  type SandboxOptions,
  sandboxDefaults,
} from './sandbox-options.ts';
export type { CreationSnapshot, SandboxSnapshot } from './sandbox-snapshot.ts';

/** A running sandbox. */
export interface Sandbox {
  /** The listening address, without a trailing slash. */
  readonly url: string;
  /** Base of the JSON API, equal to `url`. */
  readonly checkoutUrl: string;
  /** Base of the OAuth calls. It ends in `/open-api/v1`. */
  readonly openApiUrl: string;
  readonly port: number;
  /** Changes only the switches in the patch. Throws `config_invalid` for an invalid one. */
  setFaults(patch: Partial<FaultSwitches>): void;
  /** A copy of the current state. */
  state(): SandboxSnapshot;
  /** Resolves when no decision or push is scheduled or running. */
  settled(): Promise<void>;
  /** Closes all connections, aborts pushes and clears all timers. */
  close(): Promise<void>;
}

/**
 * Starts a sandbox. Throws `config_invalid` for an invalid fault switch and `port_taken` when the
 * port is in use.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const resolved = resolveOptions(options);
  const context = createContext(resolved);
  const server = buildServer(context);
  const { url, port } = await listen(server, resolved.host, resolved.port);
  context.publicUrl = (options.publicUrl ?? url).replace(/\/+$/, '');
  return {
    url,
    checkoutUrl: url,
    openApiUrl: `${url}/open-api/v1`,
    port,
    setFaults(patch) {
      context.faults = patchFaults(context.faults, patch);
    },
    state: () => takeSnapshot(context),
    settled: () => context.scheduler.settled(),
    async close() {
      context.scheduler.close();
      await server.close();
    },
  };
}
