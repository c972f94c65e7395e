import { type Creation, type CreationStatus, isToken, type Push } from './creation/creation.ts';
import { faultEndpoints } from './fault-switches.ts';
import { isAccessTokenValid } from './oauth/token-store.ts';
import type { SandboxContext } from './sandbox-context.ts';
import type { Endpoint } from './sandbox-event.ts';

/** One creation as seen from outside. */
export interface CreationSnapshot {
  readonly account: string;
  readonly terminal: string;
  readonly merchantReferenceId: string;
  readonly orderReferenceId: string;
  /** Null while there is no token. */
  readonly quickpayId: string | null;
  readonly methods: string;
  readonly status: CreationStatus;
  readonly pushes: readonly Push[];
}

/** What happened in the sandbox since the start or the last reset. A copy: later events do not change it. */
export interface SandboxSnapshot {
  readonly seed: number;
  /** In the order of their create calls. */
  readonly creations: readonly CreationSnapshot[];
  /** Calls per endpoint, including those struck by a fault. */
  readonly calls: Readonly<Record<Endpoint, number>>;
  /** Tokens, usable or disabled, per merchant reference: more than one means a create was repeated. */
  readonly tokensByMerchantReference: Readonly<Record<string, number>>;
  /** OAuth: access tokens issued, and how many of them are good now. */
  readonly accessTokens: { readonly issued: number; readonly valid: number };
}

/** The state of the sandbox, copied. */
export function takeSnapshot(context: SandboxContext): SandboxSnapshot {
  const { creations, oauth } = context;
  const tokens = [...oauth.accessTokens.keys()];
  const nowMs = Date.now();
  return {
    seed: context.seed,
    creations: creations.all.map(copyCreation),
    calls: countCalls(context),
    tokensByMerchantReference: countTokens(creations.all),
    accessTokens: {
      issued: tokens.length,
      valid: tokens.filter((token) => isAccessTokenValid(oauth, token, nowMs)).length,
    },
  };
}

function copyCreation(creation: Creation): CreationSnapshot {
  const { account, terminal, merchantReferenceId, orderReferenceId, methods, status } = creation;
  return {
    account,
    terminal,
    merchantReferenceId,
    orderReferenceId,
    quickpayId: isToken(creation) ? creation.quickpayId : null,
    methods,
    status,
    pushes: structuredClone(creation.pushes),
  };
}

function countCalls(context: SandboxContext): Record<Endpoint, number> {
  const counts = {} as Record<Endpoint, number>; // Filled for every endpoint in the next line.
  for (const endpoint of faultEndpoints) counts[endpoint] = context.calls.get(endpoint) ?? 0;
  return counts;
}

function countTokens(creations: readonly Creation[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { merchantReferenceId } of creations.filter(isToken)) {
    counts.set(merchantReferenceId, (counts.get(merchantReferenceId) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}
