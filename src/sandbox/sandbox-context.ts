import { type SecureCodes, createSecureCodes } from './creation/secure-codes.ts';
import { type CreationStore, createCreationStore } from './creation/store.ts';
import {
  type FaultSwitches,
  type GatewayEndpoint,
  faultDefaults,
  patchFaults,
} from './fault-switches.ts';
import { type OauthTokenStore, createOauthTokenStore } from './oauth/token-store.ts';
import type { ResolvedSandboxOptions } from './sandbox-options.ts';
import { type TaskScheduler, createTaskScheduler } from './task-scheduler.ts';

/** The options and the state of a sandbox, passed to every route. A reset replaces the state. */
export interface SandboxContext {
  readonly options: ResolvedSandboxOptions;
  readonly secureCodes: SecureCodes;
  /** Base URL of the hosted page for browsers. Empty until the server listens. */
  publicUrl: string;
  seed: number;
  faults: FaultSwitches;
  creations: CreationStore;
  oauthTokens: OauthTokenStore;
  scheduler: TaskScheduler;
  /** Calls per endpoint. */
  callCounts: Map<GatewayEndpoint, number>;
  /** Calls per endpoint and key, which the fault draws depend on. */
  attemptCounts: Map<string, number>;
}

/** A context without creations and tokens. Throws `config_invalid` for invalid fault switches. */
export function createContext(options: ResolvedSandboxOptions): SandboxContext {
  return {
    options,
    secureCodes: createSecureCodes(options.accounts),
    publicUrl: '',
    seed: options.seed,
    faults: patchFaults(faultDefaults, options.faults),
    ...emptyState(),
  };
}

/** Clears all state, drops pending pushes, and restores the initial fault switches. */
export function resetContext(context: SandboxContext, seed: number): void {
  context.scheduler.close();
  Object.assign(context, {
    seed,
    faults: patchFaults(faultDefaults, context.options.faults),
    ...emptyState(),
  });
}

function emptyState(): Pick<
  SandboxContext,
  'creations' | 'oauthTokens' | 'scheduler' | 'callCounts' | 'attemptCounts'
> {
  return {
    creations: createCreationStore(),
    oauthTokens: createOauthTokenStore(),
    scheduler: createTaskScheduler(),
    callCounts: new Map(),
    attemptCounts: new Map(),
  };
}
