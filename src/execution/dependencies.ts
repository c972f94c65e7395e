import type { Accounts } from '../account/accounts.ts';
import type { Config } from '../config/config.ts';
import type { Db } from '../db/connection/database.ts';
import type { TransitionDoor } from '../db/transition-door.ts';
import type { AccessTokenLife } from '../domain/access-token-times.ts';
import type { GatewayClient } from '../gateway/client.ts';
import type { Logger } from '../observability/logger.ts';
import type { Keyring } from '../security/keyring.ts';
import type { WebhookSender } from '../webhooks/sender.ts';
import type { CoalescedQueries } from '../gateway/coalesced-queries.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';

/** What the jobs read of the configuration. Times in milliseconds. */
export type JobSettings = Config['jobs'];

/** How the jobs treat the signatures of one channel. */
export type SignaturePolicy = JobSettings['signatures']['notify'];

/** The settings that operations for backends read. */
export type BackendSettings = Pick<
  JobSettings,
  | 'callbackPublicUrl'
  | 'callbackAddresses'
  | 'returnUrlHosts'
  | 'reconcileScheduleMs'
  | 'refusedCallbackMaxAgeMs'
> &
  Partial<Pick<JobSettings, 'messages' | 'notifyAddressProves'>> & {
    readonly accessToken: Pick<AccessTokenLife, 'ttlMs'>;
  };

/** What an operation for a backend needs: over HTTP, by a job, or in the backend's own process. */
export interface BackendDependencies {
  readonly db: Db;
  readonly door: TransitionDoor;
  readonly keyring: Keyring;
  readonly accounts: Accounts;
  readonly settings: BackendSettings;
}

/** What every operation on tokens needs, inside or outside a job. */
export interface OperationDependencies extends BackendDependencies {
  readonly settings: JobSettings;
}

/** What a job needs besides its payload. */
export interface JobDependencies extends OperationDependencies {
  readonly gateway: GatewayClient;
  /** Undefined where no webhook is configured. */
  readonly webhooks: WebhookSender | undefined;
  readonly logger: Logger;
  /** The name of this process in leases. */
  readonly workerId: string;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Puts jobs on their queues; a job whose id already waits there stays as it is. */
  readonly enqueue: (jobs: readonly OutboxJob[]) => Promise<void>;
  /** Queries to the gateway that unproven messages caused, coalesced. */
  readonly coalescedQueries: CoalescedQueries;
}
