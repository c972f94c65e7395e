import { type Creation, type CreationStatus, hasToken, type Push } from './creation/creation.ts';
import { type GatewayEndpoint, gatewayEndpoints } from './fault-switches.ts';
import { isAccessTokenValid } from './oauth/token-store.ts';
import type { SandboxContext } from './sandbox-context.ts';

/** One creation in the snapshot. */
export interface CreationSnapshot {
  readonly account: string;
  readonly terminal: string;
  readonly merchantReferenceId: string;
  readonly orderReferenceId: string;
  /** Null before the approval. */
  readonly quickpayId: string | null;
  readonly methods: string;
  readonly status: CreationStatus;
  readonly pushes: readonly Push[];
}

/** The sandbox's state since the start or the last reset. A copy: later events do not change it. */
export interface SandboxSnapshot {
  readonly seed: number;
  /** Oldest first. */
  readonly creations: readonly CreationSnapshot[];
  /** Calls per endpoint, including those that a network fault hit. */
  readonly calls: Readonly<Record<GatewayEndpoint, number>>;
  /** Tokens per merchant reference, disabled ones included. Two mean that a create was repeated. */
  readonly tokensByMerchantReference: Readonly<Record<string, number>>;
  /** OAuth access tokens: how many were issued, and how many of them are valid now. */
  readonly accessTokens: { readonly issued: number; readonly valid: number };
}

/** Copies the sandbox's state. */
export function takeSnapshot(context: SandboxContext): SandboxSnapshot {
  const { creations, oauthTokens } = context;
  const tokens = [...oauthTokens.accessTokens.keys()];
  const nowMs = Date.now();
  return {
    seed: context.seed,
    creations: creations.all.map(copyCreation),
    calls: countCalls(context),
    tokensByMerchantReference: countTokensByReference(creations.all),
    accessTokens: {
      issued: tokens.length,
      valid: tokens.filter((token) => isAccessTokenValid(oauthTokens, token, nowMs)).length,
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
    quickpayId: hasToken(creation) ? creation.quickpayId : null,
    methods,
    status,
    pushes: structuredClone(creation.pushes),
  };
}

function countCalls(context: SandboxContext): Record<GatewayEndpoint, number> {
  const counts = {} as Record<GatewayEndpoint, number>; // The loop sets every endpoint.
  for (const endpoint of gatewayEndpoints) counts[endpoint] = context.callCounts.get(endpoint) ?? 0;
  return counts;
}

function countTokensByReference(creations: readonly Creation[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { merchantReferenceId } of creations.filter(hasToken)) {
    counts.set(merchantReferenceId, (counts.get(merchantReferenceId) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}
