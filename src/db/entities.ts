import { accessTokenTransitions } from '../domain/access-token.ts';
import { apiKeyTransitions } from '../domain/api-key.ts';
import { callbackTransitions } from '../domain/callback.ts';
import { credentialTransitions } from '../domain/credential.ts';
import { deadLetterTransitions } from '../domain/dead-letter.ts';
import { deliveryTransitions, webhookEndpointTransitions } from '../domain/delivery.ts';
import { tokenizationTransitions } from '../domain/tokenization.ts';
import type { EntityType, Transition } from '../domain/transition.ts';

/** The description of an entity's table that the transition door builds its statements from. */
export interface EntitySpec {
  readonly transitions: readonly Transition<string, string>[];
  /** The columns that a change may set, besides id, state, version, created_at and updated_at. */
  readonly columns: readonly string[];
  /**
   * The columns that a change may also set as `<column>_in_ms`: milliseconds from now on the
   * database's clock, so that leases and deadlines do not depend on a worker's clock.
   */
  readonly clockColumns: readonly string[];
  /**
   * The parent row that a new row `p` needs, joined and locked as a foreign key would. Without its
   * parent the statement skips the row.
   */
  readonly requiredParent?: { readonly join: string; readonly lock: string };
  /** The values of columns that the creator of a row leaves out. All other columns are null. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/** Every entity that has states. */
export const entities: Readonly<Record<EntityType, EntitySpec>> = {
  credential: {
    transitions: credentialTransitions,
    columns: [
      'name',
      'family',
      'environment',
      'account',
      'terminal',
      'secrets_sealed',
      'app_key_index',
      'managed_by',
    ],
    clockColumns: [],
    defaults: { managed_by: 'command' },
  },
  tokenization: {
    transitions: tokenizationTransitions,
    requiredParent: {
      join: `join credential c on c.id = p.credential_id and c.state = 'active'
        and (c.account, c.terminal) = (p.account, p.terminal)`,
      lock: 'for key share of c',
    },
    columns: [
      'credential_id',
      'account',
      'terminal',
      'merchant_reference_id',
      'gateway_reference',
      'abandoned_references',
      'order_reference_id',
      'customer_index',
      'request_digest',
      'request_sealed',
      'currency',
      'amount',
      'methods',
      'return_url',
      'redirect_url',
      'redirect_address',
      'notify_address',
      'quickpay_id_sealed',
      'quickpay_id_index',
      'evidence_index',
      'review',
      'attempt',
      'lost_answer',
      'lost_answer_at',
      'lost_reply_cause',
      'is_deadline_extended',
      'deadline_at',
      'lease_until',
      'reconcile_step',
      'reconcile_at',
      'expires_at',
      'expiry_notice_days',
    ],
    clockColumns: ['lost_answer_at', 'deadline_at', 'lease_until', 'reconcile_at'],
    defaults: {
      abandoned_references: [],
      attempt: 0,
      is_deadline_extended: false,
      reconcile_step: 0,
    },
  },
  callback: {
    transitions: callbackTransitions,
    columns: [
      'channel',
      'semantic_key',
      'message_digest',
      'content_type',
      'body_sealed',
      'body_bytes',
      'content_encoding',
      'query_sealed',
      'account',
      'terminal',
      'merchant_reference_id',
      'order_reference_id',
      'tokenization_id',
      'is_addressed',
      'reason',
      'is_believed',
      'source_index',
      'seen_count',
      'last_seen_at',
      'received_at',
      'due_at',
    ],
    clockColumns: ['received_at', 'last_seen_at', 'due_at'],
    defaults: { is_addressed: false, seen_count: 1 },
  },
  access_token: {
    transitions: accessTokenTransitions,
    columns: [
      'credential_id',
      'environment',
      'generation',
      'access_token_sealed',
      'refresh_token_sealed',
      'issued_at',
      'expires_at',
      'due_at',
      'lease_owner',
      'lease_until',
      'attempt_id',
      'attempt_started_at',
      'failures',
      'app_key_index',
      'alarm_percent',
      'renewing_since',
    ],
    clockColumns: ['due_at', 'lease_until', 'attempt_started_at', 'renewing_since'],
    defaults: { generation: 0, failures: 0 },
  },
  dead_letter: {
    transitions: deadLetterTransitions,
    columns: [
      'queue',
      'job_name',
      'job_id',
      'code',
      'paths',
      'payload_sealed',
      'attempts',
      'redrives',
    ],
    clockColumns: [],
    defaults: { paths: [], redrives: 0 },
  },
  delivery: {
    transitions: deliveryTransitions,
    columns: [
      'event_id',
      'tokenization_id',
      'event_type',
      'sequence',
      'status',
      'attempt',
      'response_status',
      'reason',
      'due_at',
      'held_at',
      'event_at',
    ],
    clockColumns: ['due_at', 'held_at'],
    defaults: { attempt: 0 },
  },
  webhook_endpoint: {
    transitions: webhookEndpointTransitions,
    columns: ['host', 'failing_since'],
    clockColumns: ['failing_since'],
    defaults: {},
  },
  api_key: {
    transitions: apiKeyTransitions,
    columns: ['name', 'key_sha256', 'scopes'],
    clockColumns: [],
    defaults: { scopes: [] },
  },
};
