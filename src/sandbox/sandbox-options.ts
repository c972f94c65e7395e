import type { FaultSwitches } from './fault-switches.ts';
import type { SandboxEvent } from './sandbox-event.ts';

/** A merchant account of the sandbox. Its secure code is checked on calls and signs redirects and pushes. */
export interface SandboxAccount {
  readonly account: string;
  readonly terminal: string;
  readonly secureCode: string;
}

/** An OPCard application of the sandbox. */
export interface SandboxOpcardApp {
  readonly appKey: string;
  readonly appSecret: string;
}

/** How to start a sandbox; everything has a default. */
export interface SandboxOptions {
  /** Address to listen on, default 127.0.0.1. The sandbox calls any `notifyUrl` it is given: keep it off public networks. */
  readonly host?: string;
  /** Default 0: a free port. */
  readonly port?: number;
  /** Default 1. Equal seeds and equal calls give equal ids, tokens and faults. */
  readonly seed?: number;
  /** Base of the hosted page's address as browsers see it, default the listening address. */
  readonly publicUrl?: string;
  /** Default: the account in `sandboxDefaults`. */
  readonly accounts?: readonly SandboxAccount[];
  /** Default: the application in `sandboxDefaults`. */
  readonly opcardApps?: readonly SandboxOpcardApp[];
  /** Switches to start with; a reset returns to them. */
  readonly faults?: Partial<FaultSwitches>;
  /** Times of the push attempts in milliseconds after the first, default `sandboxDefaults.pushScheduleMs`. */
  readonly pushScheduleMs?: readonly number[];
  /** Lifetime of access tokens in milliseconds, default one hour. */
  readonly accessTokenTtlMs?: number;
  /** Called after each call, decision and push attempt. */
  readonly onEvent?: (event: SandboxEvent) => void;
}

/** The options with every default filled in, except the public address, which needs the port. */
export type ResolvedSandboxOptions = Required<Omit<SandboxOptions, 'publicUrl'>>;

/** What a client needs to talk to a sandbox started without options. None of it is a secret. */
export const sandboxDefaults = {
  host: '127.0.0.1',
  seed: 1,
  account: '995149',
  terminal: '99514901',
  secureCode: 'sandbox-secret-01',
  appKey: 'sandbox-app-key',
  appSecret: 'sandbox-app-secret',
  /** The gateway makes five attempts; its own intervals are not public, these are invented and short. */
  pushScheduleMs: [0, 1_000, 3_000, 10_000, 30_000],
  accessTokenTtlMs: 3_600_000,
} as const;

/** The options with defaults filled in. */
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
