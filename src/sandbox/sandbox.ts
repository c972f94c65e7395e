/**
 * A stand-in for the payment gateway, for demos, tests and a merchant's own CI: QuickPay create, query and cancel, the
 * hosted authorisation page with its signed redirect, push notifications, and OPCard OAuth. All state is in memory.
 *
 * What becomes of a creation is written in its `order.remark`, so that scripts are deterministic:
 *
 *     sandbox:redirect        answers a url and waits for a decision on the page (the default)
 *     sandbox:direct          answers the finished token, without a url (the default for method `Credit Card`)
 *     sandbox:direct-failed   answers code 000 without a url and with status 0
 *     sandbox:refuse          answers a refusal; nothing is created
 *     sandbox:approve         answers a url, then approves by itself; only a push tells
 *     sandbox:decline         answers a url, then declines by itself; only a push tells
 *
 * A behaviour may be followed, or the default be changed, by modifiers, for example `sandbox:approve+duplicated` or
 * `sandbox:late+forged`:
 *
 *     duplicated      the push comes twice            forged       three forged pushes come before
 *     contradicting   a signed failure follows        dropped      no genuine push comes
 *     late            the push comes two seconds late lost-reply   the first create call takes effect, then the
 *                                                                  connection is reset before the reply
 *
 * Faults for all traffic are in `faults.ts`; change them with `setFaults` or `PUT /sandbox/faults`. Other controls:
 * `GET /sandbox/state`, `POST /sandbox/reset`, `PUT /sandbox/seed`. A script plays the browser by `POST
 * /bank/quickPay/decide` with `Accept: application/json`; the answer `{redirectUrl, fields}` holds name-value pairs ready
 * for `new URLSearchParams(fields)`. `POST /card-api/v1/probe` tells whether an access token is good.
 */
import { buildServer } from './sandbox-server.ts';
import { createContext } from './sandbox-context.ts';
import { type FaultSwitches, patchFaults } from './fault-switches.ts';
import { type SandboxOptions, resolveOptions } from './sandbox-options.ts';
import { type SandboxSnapshot, takeSnapshot } from './sandbox-snapshot.ts';
import { listen } from './sandbox-listener.ts';

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
  /** The listening address, without a slash at the end. */
  readonly url: string;
  /** Base of the JSON API; the same as `url`. */
  readonly checkoutUrl: string;
  /** Base of the OAuth calls; ends in `/open-api/v1`. */
  readonly openApiUrl: string;
  readonly port: number;
  /** Changes the named switches. Throws `config_invalid`. */
  setFaults(patch: Partial<FaultSwitches>): void;
  /** What happened so far, copied. */
  state(): SandboxSnapshot;
  /** Resolves when no decision or push is under way or scheduled. */
  settled(): Promise<void>;
  /** Drops connections, ends pushes and clears every timer. */
  close(): Promise<void>;
}

/** Starts a sandbox. Throws `config_invalid` for wrong switches and `port_taken` when the port is in use. */
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
    settled: () => context.agenda.settled(),
    async close() {
      context.agenda.close();
      await server.close();
    },
  };
}
