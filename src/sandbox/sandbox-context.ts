import { type Agenda, createAgenda } from './task-scheduler.ts';
import { type CreationLedger, createLedger } from './creation/store.ts';
import { type FaultSwitches, faultDefaults, patchFaults } from './fault-switches.ts';
import { type OauthLedger, createOauthLedger } from './oauth/token-store.ts';
import type { Endpoint } from './sandbox-event.ts';
import type { ResolvedSandboxOptions } from './sandbox-options.ts';
import { type SecureCodes, createSecureCodes } from './creation/secure-codes.ts';

/** Everything a route of the sandbox works with. `reset` replaces the state in one step. */
export interface SandboxContext {
  readonly options: ResolvedSandboxOptions;
  readonly secureCodes: SecureCodes;
  /** Base of the hosted page's address; known once the server listens. */
  publicUrl: string;
  seed: number;
  faults: FaultSwitches;
  creations: CreationLedger;
  oauth: OauthLedger;
  agenda: Agenda;
  /** Calls per endpoint. */
  calls: Map<Endpoint, number>;
  /** Calls per endpoint and key, for faults that depend on the attempt. */
  attempts: Map<string, number>;
}

/** A context with empty state. Throws `config_invalid` for wrong fault switches. */
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

/** Forgets all creations, tokens, counts and pending pushes and returns the switches to those of the start. */
export function resetContext(context: SandboxContext, seed: number): void {
  context.agenda.close();
  Object.assign(context, {
    seed,
    faults: patchFaults(faultDefaults, context.options.faults),
    ...emptyState(),
  });
}

function emptyState(): Pick<
  SandboxContext,
  'creations' | 'oauth' | 'agenda' | 'calls' | 'attempts'
> {
  return {
    creations: createLedger(),
    oauth: createOauthLedger(),
    agenda: createAgenda(),
    calls: new Map(),
    attempts: new Map(),
  };
}
