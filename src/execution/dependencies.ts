import type { Db } from '../db/database.ts';
import type { TransitionDoor } from '../db/transition-door.ts';
import type { AccessTokenLife } from '../domain/access-token-times.ts';
import type { GatewayClient } from '../gateway/client.ts';
import type { Logger } from '../observability/logger.ts';
import type { Keyring } from '../security/keyring.ts';
import type { WebhookSender } from '../webhooks/sender.ts';
import type { CoalescedQueries } from '../gateway/coalesced-queries.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';

/** How signatures of one channel are treated. */
export interface SignaturePolicy {
  readonly mode: 'off' | 'observe' | 'verify';
  /** The ordered field list that `verify` insists on; absent: the published candidate lists are tried. */
  readonly fields?: readonly string[] | undefined;
}

/** Choices that the jobs follow. Times in milliseconds. */
export interface JobSettings {
  readonly awaitingCustomerDeadlineMs: number;
  /** Waits between two queries of one tokenization. */
  readonly reconcileScheduleMs: readonly number[];
  /** How long an intent may stand without a result before its outcome counts as unknown. */
  readonly leaseMs: number;
  /** The wait between two "none" answers before a lost request may be sent again. */
  readonly noneSpacingMs: number;
  readonly resubmitPolicy: 'new-reference' | 'same-reference' | 'manual';
  /** How often a lost request is sent again before a person has to look. */
  readonly resubmissionsMax: number;
  readonly confirmPolicy: 'query' | 'signed';
  /** How long a message waits for its tokenization to appear. */
  readonly orphanMaxAgeMs: number;
  /** How long messages of strangers are kept. */
  readonly refusedCallbackMaxAgeMs: number;
  /** How long messages that were rejected or given up are kept where no signature proves them. */
  readonly unbelievedCallbackMaxAgeMs: number;
  /** Waits before the attempts to deliver one event to the merchant's backend. */
  readonly webhookScheduleMs: readonly number[];
  /** How long the merchant's webhook may fail without one success before it is disabled. */
  readonly webhookDisableAfterMs: number;
  /** How long an event waits for an address that is enabled. */
  readonly webhookHoldMaxAgeMs: number;
  readonly returnUrlHosts: readonly string[];
  readonly callbackPublicUrl: string | undefined;
  /** The zone of the date that the gateway calls `expiryTime`. */
  readonly expiryZone: string;
  readonly signatures: {
    readonly redirect: SignaturePolicy;
    readonly notify: SignaturePolicy;
  };
  readonly accessToken: AccessTokenLife & {
    /** How long one call for a token may take before another worker takes it up. */
    readonly leaseMs: number;
    /** OAuth calls per second that this process makes to one host at most. */
    readonly callsPerSecondMax: number;
  };
  /** How often due work is looked for. */
  readonly scanIntervalMs: number;
}

/** Of these choices, the ones that operations for backends follow. */
export type BackendSettings = Pick<
  JobSettings,
  'callbackPublicUrl' | 'returnUrlHosts' | 'reconcileScheduleMs' | 'refusedCallbackMaxAgeMs'
> & { readonly accessToken: Pick<AccessTokenLife, 'ttlMs'> };

/** What an operation needs that a backend asks for, be it over HTTP, by a job, or in its own process on the database. */
export interface BackendDependencies {
  readonly db: Db;
  readonly door: TransitionDoor;
  readonly keyring: Keyring;
  readonly settings: BackendSettings;
}

/** What every operation on tokens needs, in or out of a job. */
export interface OperationDependencies extends BackendDependencies {
  readonly settings: JobSettings;
}

/** What a job needs besides its payload. */
export interface JobDependencies extends OperationDependencies {
  readonly gateway: GatewayClient;
  /** Undefined where no webhook is configured. */
  readonly webhooks: WebhookSender | undefined;
  readonly logger: Logger;
  /** Names this process in leases. */
  readonly workerId: string;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Puts derived work on its queue; work that is already waiting there is left alone. */
  readonly enqueue: (jobs: readonly OutboxJob[]) => Promise<void>;
  /** What the gateway answered on behalf of unproven messages. */
  readonly coalescedQueries: CoalescedQueries;
}
