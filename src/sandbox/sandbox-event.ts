import type { GatewayEndpoint } from './fault-switches.ts';

/** What the customer did on the hosted page. */
export type CustomerDecision = 'approve' | 'decline' | 'abandon';

/** Why a push was sent. */
export type PushKind = 'result' | 'duplicate' | 'forged' | 'contradicting';

/** What the caller sees of a network fault. */
export type NetworkFaultKind = 'error' | 'reset' | 'hang';

/**
 * Something that happened in the sandbox, for live output. It names references and never a secret.
 */
export type SandboxEvent =
  | {
      readonly type: 'call';
      readonly endpoint: GatewayEndpoint;
      /** The merchant reference or the app key; `invalid` when the call has none. */
      readonly key: string;
      /** How many calls this key has made to this endpoint, this one included. */
      readonly attempt: number;
      /** The injected network fault, null for none. */
      readonly strike: NetworkFaultKind | null;
      readonly isAfterEffect: boolean;
    }
  | {
      readonly type: 'decision';
      readonly orderReferenceId: string;
      readonly merchantReferenceId: string;
      readonly decision: CustomerDecision;
    }
  | {
      readonly type: 'push';
      readonly orderReferenceId: string;
      readonly merchantReferenceId: string;
      readonly kind: PushKind;
      /** Starts at 1. */
      readonly attempt: number;
      readonly httpStatus: number | null;
      readonly isAcknowledged: boolean;
    };
