import type { ColumnType, Generated } from 'kysely';
import type { AccessTokenState } from '../domain/access-token.ts';
import type { ApiKeyState, ApiScope } from '../domain/api-key.ts';
import type { CallbackState, Channel } from '../domain/callback.ts';
import type {
  CredentialEnvironment,
  CredentialFamily,
  CredentialManager,
  CredentialState,
} from '../domain/credential.ts';
import type { DeliveryState, WebhookEndpointState } from '../domain/delivery.ts';
import type { DeadLetterState } from '../domain/dead-letter.ts';
import type { TokenizationState } from '../domain/tokenization.ts';

/**
 * The tables of schema `token_lifecycle`. `*_sealed` columns hold ciphertext, `*_index` columns
 * keyed digests.
 */
export interface Schema {
  readonly credential: CredentialTable;
  readonly tokenization: TokenizationTable;
  readonly callback: CallbackTable;
  readonly access_token: AccessTokenTable;
  readonly access_token_read: AccessTokenReadTable;
  readonly dead_letter: DeadLetterTable;
  readonly delivery: DeliveryTable;
  readonly webhook_endpoint: WebhookEndpointTable;
  readonly scan_run: ScanRunTable;
  readonly host_rate_limit: HostRateLimitTable;
  readonly api_key: ApiKeyTable;
  readonly outbox: OutboxTable;
  readonly audit_event: AuditEventTable;
}

interface EntityColumns<State extends string> {
  readonly id: string;
  readonly state: State;
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

interface CredentialTable extends EntityColumns<CredentialState> {
  readonly name: string;
  readonly family: CredentialFamily;
  readonly environment: CredentialEnvironment;
  readonly account: string | null;
  readonly terminal: string | null;
  readonly secrets_sealed: string;
  readonly app_key_index: string | null;
  readonly managed_by: CredentialManager;
}

interface TokenizationTable extends EntityColumns<TokenizationState> {
  readonly credential_id: string;
  readonly account: string;
  readonly terminal: string;
  readonly merchant_reference_id: string;
  readonly gateway_reference: string;
  readonly abandoned_references: readonly string[];
  readonly order_reference_id: string | null;
  readonly customer_index: string | null;
  readonly request_digest: string;
  readonly request_sealed: string;
  readonly currency: string;
  readonly amount: string;
  readonly methods: string;
  readonly return_url: string | null;
  readonly redirect_url: string | null;
  /**
   * Digests of the addresses in the per-request callback URLs; null where the request uses the
   * shared URLs.
   */
  readonly redirect_address: string | null;
  readonly notify_address: string | null;
  readonly quickpay_id_sealed: string | null;
  readonly quickpay_id_index: string | null;
  readonly evidence_index: string | null;
  readonly review: string | null;
  readonly attempt: number;
  readonly lost_answer: 'none' | 'pending' | 'unreadable' | null;
  readonly lost_answer_at: Date | null;
  /** Why the reply to the current attempt was lost, where the worker read and refused it. */
  readonly lost_reply_cause: string | null;
  readonly is_deadline_extended: boolean;
  readonly deadline_at: Date | null;
  readonly lease_until: Date | null;
  readonly reconcile_step: number;
  readonly reconcile_at: Date | null;
  readonly expires_at: Date | null;
  readonly expiry_notice_days: number | null;
}

interface CallbackTable extends EntityColumns<CallbackState> {
  readonly channel: Channel;
  readonly semantic_key: string;
  readonly message_digest: string;
  readonly content_type: string | null;
  readonly body_sealed: string;
  /** The bytes of body and query string as received. */
  readonly body_bytes: number;
  readonly content_encoding: string | null;
  readonly query_sealed: string | null;
  readonly account: string | null;
  readonly terminal: string | null;
  readonly merchant_reference_id: string | null;
  readonly order_reference_id: string | null;
  readonly tokenization_id: string | null;
  /** Whether it came to the per-request callback URL of `tokenization_id`. */
  readonly is_addressed: boolean;
  readonly reason: string | null;
  /** Whether the message is proven, or has changed its tokenization; null until it is judged. */
  readonly is_believed: boolean | null;
  readonly source_index: string | null;
  readonly seen_count: number;
  readonly last_seen_at: Date;
  readonly received_at: Date;
  readonly due_at: Date | null;
}

interface AccessTokenTable extends EntityColumns<AccessTokenState> {
  readonly credential_id: string;
  /**
   * The environment of its credential at its last attempt. The due-scan queries each separately.
   */
  readonly environment: CredentialEnvironment;
  readonly generation: number;
  readonly access_token_sealed: string | null;
  readonly refresh_token_sealed: string | null;
  readonly issued_at: Date | null;
  readonly expires_at: Date | null;
  readonly due_at: Date | null;
  readonly lease_owner: string | null;
  readonly lease_until: Date | null;
  readonly attempt_id: string | null;
  readonly attempt_started_at: Date | null;
  readonly failures: number;
  readonly app_key_index: string | null;
  readonly alarm_percent: number | null;
  readonly renewing_since: Date | null;
}

interface AccessTokenReadTable {
  readonly id: Generated<string>;
  readonly access_token_id: string;
  readonly credential: string;
  readonly generation: number;
  readonly actor_type: string;
  readonly actor_id: string;
  readonly reads: number;
  readonly first_read_at: Date;
  readonly last_read_at: Date;
}

interface DeadLetterTable extends EntityColumns<DeadLetterState> {
  readonly queue: string;
  readonly job_name: string;
  readonly job_id: string;
  readonly code: string;
  readonly paths: readonly string[];
  readonly payload_sealed: string | null;
  readonly attempts: number;
  readonly redrives: number;
}

interface DeliveryTable extends EntityColumns<DeliveryState> {
  readonly event_id: string;
  readonly tokenization_id: string;
  readonly event_type: string;
  readonly sequence: number;
  readonly status: string;
  readonly attempt: number;
  readonly response_status: number | null;
  readonly reason: string | null;
  readonly due_at: Date | null;
  /** When it was first held; null if never. */
  readonly held_at: Date | null;
  /** When the event of a replay happened; null in a first delivery. */
  readonly event_at: Date | null;
}

interface WebhookEndpointTable extends EntityColumns<WebhookEndpointState> {
  readonly host: string;
  readonly failing_since: Date | null;
}

interface ScanRunTable {
  readonly name: string;
  readonly finished_at: Date;
}

interface HostRateLimitTable {
  readonly host: string;
  /** The next slot that is not reserved. */
  readonly next_call_at: Date;
}

interface ApiKeyTable extends EntityColumns<ApiKeyState> {
  readonly name: string;
  readonly key_sha256: string;
  readonly scopes: readonly ApiScope[];
}

interface OutboxTable {
  readonly id: Generated<string>;
  readonly queue: string;
  readonly job_name: string;
  readonly job_id: string;
  readonly payload: ColumnType<Record<string, unknown>, string, string>;
  readonly not_before: Generated<Date>;
  readonly lease_until: Date | null;
  readonly lease_owner: string | null;
  readonly tries: Generated<number>;
  readonly created_at: Generated<Date>;
  /** The id that `token_lifecycle.enqueue` returned; null in the worker's own rows. */
  readonly enqueue_id: string | null;
  /** The ordering key of an enqueue; null in the worker's own rows. */
  readonly enqueue_key: string | null;
  /** The database login that enqueued; null in the worker's own rows. */
  readonly enqueued_by: string | null;
}

interface AuditEventTable {
  readonly id: Generated<string>;
  readonly occurred_at: Generated<Date>;
  readonly transaction_id: Generated<string>;
  readonly entity_type: string;
  readonly entity_id: string;
  readonly version: number;
  readonly event: string;
  readonly from_state: string | null;
  readonly to_state: string;
  readonly actor_type: string;
  readonly actor_id: string;
  readonly queue: string | null;
  readonly job_id: string | null;
  readonly attempt: number | null;
  readonly channel: string | null;
  readonly evidence_id: string | null;
  readonly evidence_digest: string | null;
  readonly reason: string | null;
  readonly gateway_code: string | null;
  readonly trace_id: string | null;
  readonly detail: Record<string, unknown>;
}
