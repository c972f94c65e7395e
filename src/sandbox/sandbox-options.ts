import type { FaultSwitches } from './fault-switches.ts';
import type { SandboxEvent } from './sandbox-event.ts';

/**
 * A merchant account. Its secure code authenticates the merchant's calls and signs the sandbox's
 * redirects and pushes.
 */
export interface SandboxAccount {
  readonly account: string;
  readonly terminal: string;
  readonly secureCode: string;
}

/** An OPCard application. */
export interface SandboxOpcardApp {
  readonly appKey: string;
  readonly appSecret: string;
}

/** How to start a sandbox. Every option has a default. */
export interface SandboxOptions {
  /**
   * Address to listen on, default 127.0.0.1. Keep the sandbox off public networks: it calls every
   * `notifyUrl` that a create names.
   */
  readonly host?: string;
  /** Port to listen on. Default 0, which takes a free one. */
  readonly port?: number;
  /** Equal seeds and equal calls give equal ids, tokens and faults. Default 1. */
  readonly seed?: number;
  /** Base URL of the hosted page for browsers, default the listening address. */
  readonly publicUrl?: string;
  /** Default: the account in `sandboxDefaults`. */
  readonly accounts?: readonly SandboxAccount[];
  /** Default: the application in `sandboxDefaults`. */
  readonly opcardApps?: readonly SandboxOpcardApp[];
  /** Initial fault switches. A reset restores them. */
  readonly faults?: Partial<FaultSwitches>;
  /**
   * Times of the attempts to deliver a push, in milliseconds after the customer's decision.
   * Default `sandboxDefaults.pushScheduleMs`.
   */
  readonly pushScheduleMs?: readonly number[];
  /** Lifetime of access tokens in milliseconds, default one hour. */
  readonly accessTokenTtlMs?: number;
  /** Called after each call, decision and push attempt. */
  readonly onEvent?: (event: SandboxEvent) => void;
}

/** The options with defaults filled in. `publicUrl` is left out: its default needs the port. */
export type ResolvedSandboxOptions = Required<Omit<SandboxOptions, 'publicUrl'>>;

/** The account, application and settings of a sandbox without options. None of it is secret. */
export const sandboxDefaults = {
  host: '127.0.0.1',
  seed: 1,
  account: '995149',
  terminal: '99514901',
  secureCode: 'sandbox-secret-01',
  appKey: 'sandbox-app-key',
  appSecret: 'sandbox-app-secret',
  /**
   * The gateway makes five attempts. Its intervals are not public; these are invented and short.
   */
  pushScheduleMs: [0, 1_000, 3_000, 10_000, 30_000],
  accessTokenTtlMs: 3_600_000,
} as const;

/** Fills in the defaults. */
export function resolveOptions(options: SandboxOptions): ResolvedSandboxOptions {
  return {
    host: options.host ?? sandboxDefaults.host,
    port: options.port ?? 0,
    seed: options.seed ?? sandboxDefaults.seed,
    accounts: options.accounts ?? [sandboxDefaults],
    opcardApps: options.opcardApps ?? [sandboxDefaults],
    faults: options.faults ?? {},
    pushScheduleMs: options.pushScheduleMs ?? sandboxDefaults.pushScheduleMs,
    accessTokenTtlMs: options.accessTokenTtlMs ?? sandboxDefaults.accessTokenTtlMs,
    onEvent: options.onEvent ?? (() => {}),
  };
}
