import type { PushKind } from '../sandbox-event.ts';
import type { Scenario } from './scenario.ts';

/** `waiting` and `abandoned` can still be decided. `refused` was never accepted. */
export type CreationStatus =
  | 'waiting'
  | 'approved'
  | 'declined'
  | 'abandoned'
  | 'refused'
  | 'disabled';

/** One attempt to deliver a push. */
export interface PushAttempt {
  /** ISO 8601. */
  readonly at: string;
  /** `push_dateTime` in the body; each attempt has its own. */
  readonly pushDateTime: string;
  /** Null without an HTTP answer. */
  readonly httpStatus: number | null;
  /** The first 200 characters of the answer's body. */
  readonly answer: string;
  readonly isAcknowledged: boolean;
}

/** One message to `notifyUrl` with its delivery attempts. */
export interface Push {
  readonly kind: PushKind;
  readonly attempts: PushAttempt[];
}

/** A merchant's account and terminal. Each pair has its own secure code and creations. */
export interface AccountTerminal {
  readonly account: string;
  readonly terminal: string;
}

/** One recorded create call, accepted or refused. */
export interface Creation extends AccountTerminal {
  readonly merchantReferenceId: string;
  readonly orderReferenceId: string;
  /** Drawn with the creation. Answers show it only after approval. */
  readonly quickpayId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly amount: string;
  readonly methods: string;
  readonly country: string;
  readonly remark: string;
  readonly description: string;
  readonly redirectUrl: string;
  /** Empty when the merchant wants no pushes. */
  readonly notifyUrl: string;
  readonly scenario: Scenario;
  readonly createdAtMs: number;
  readonly pushes: Push[];
  status: CreationStatus;
  decidedAtMs: number | null;
  /** Unix time of the last `push_dateTime` in seconds; the next one has to be later. */
  lastPushSecond: number;
}

/** Whether the creation has a token, usable or disabled. */
export function hasToken(creation: Creation): boolean {
  return creation.status === 'approved' || creation.status === 'disabled';
}

/** Whether the customer can still approve or decline. */
export function isUndecided(creation: Creation): boolean {
  return creation.status === 'waiting' || creation.status === 'abandoned';
}
