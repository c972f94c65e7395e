import type { faultEndpoints } from './fault-switches.ts';

/** A call that the sandbox counts. */
export type Endpoint = (typeof faultEndpoints)[number];

/** What a person or a script did on the hosted page. */
export type Decision = 'approve' | 'decline' | 'abandon';

/** Why a push was sent. */
export type PushKind = 'result' | 'duplicate' | 'forged' | 'contradicting';

/** How a network fault showed itself to the caller. */
export type StrikeKind = 'error' | 'reset' | 'hang';

/** Something that happened in the sandbox, for live output. Holds references, never secrets. */
export type SandboxEvent =
  | {
      readonly type: 'call';
      readonly endpoint: Endpoint;
      /** The merchant reference or the application; `invalid` when the call named none. */
      readonly key: string;
      /** How many calls this key has made to this endpoint, from 1. */
      readonly attempt: number;
      readonly strike: StrikeKind | null;
      readonly isAfterEffect: boolean;
    }
  | {
      readonly type: 'decision';
      readonly orderReferenceId: string;
      readonly merchantReferenceId: string;
      readonly decision: Decision;
    }
  | {
      readonly type: 'push';
      readonly orderReferenceId: string;
      readonly merchantReferenceId: string;
      readonly kind: PushKind;
      /** From 1. */
      readonly attempt: number;
      readonly httpStatus: number | null;
      readonly isAcknowledged: boolean;
    };
