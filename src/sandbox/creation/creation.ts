import type { Directive } from './scenario.ts';
import type { PushKind } from '../sandbox-event.ts';

/** Where a creation stands. `refused` ones were never accepted; `abandoned` and `waiting` ones may still be decided. */
export type CreationStatus =
  | 'waiting'
  | 'approved'
  | 'declined'
  | 'abandoned'
  | 'refused'
  | 'disabled';

/** One attempt to deliver one push. */
export interface PushAttempt {
  /** ISO 8601. */
  readonly at: string;
  /** `push_dateTime` of this attempt; it differs from attempt to attempt. */
  readonly pushDateTime: string;
  /** Null when there was no HTTP answer. */
  readonly httpStatus: number | null;
  /** The first 200 characters of the answer's body. */
  readonly answer: string;
  readonly isAcknowledged: boolean;
}

/** One message to `notifyUrl` and what became of it. */
export interface Push {
  readonly kind: PushKind;
  readonly attempts: PushAttempt[];
}

/** One accepted or refused create call. */
export interface Creation {
  readonly account: string;
  readonly terminal: string;
  readonly merchantReferenceId: string;
  readonly orderReferenceId: string;
  /** Drawn at once, shown only after approval. */
  readonly quickpayId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly amount: string;
  readonly methods: string;
  readonly country: string;
  readonly remark: string;
  readonly description: string;
  readonly redirectUrl: string;
  /** Empty: nothing is pushed. */
  readonly notifyUrl: string;
  readonly directive: Directive;
  readonly createdAtMs: number;
  readonly pushes: Push[];
  status: CreationStatus;
  decidedAtMs: number | null;
  /** The second in the last `push_dateTime`, so that the next one is later. */
  lastPushSecond: number;
}

/** Whether a token exists, usable or disabled. */
export function isToken(creation: Creation): boolean {
  return creation.status === 'approved' || creation.status === 'disabled';
}

/** Whether a decision can still be made. */
export function isUndecided(creation: Creation): boolean {
  return creation.status === 'waiting' || creation.status === 'abandoned';
}
