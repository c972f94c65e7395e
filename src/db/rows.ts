import type { Selectable } from 'kysely';
import type { Schema } from './schema.ts';

/** A row of `tokenization`. */
export type TokenizationRow = Selectable<Schema['tokenization']>;
/** A row of `callback`. */
export type CallbackRow = Selectable<Schema['callback']>;
/** A row of `access_token`. */
export type AccessTokenRow = Selectable<Schema['access_token']>;
/** A row of `credential`. */
export type CredentialRow = Selectable<Schema['credential']>;
/** A row of `dead_letter`. */
export type DeadLetterRow = Selectable<Schema['dead_letter']>;
/** A row of `delivery`. */
export type DeliveryRow = Selectable<Schema['delivery']>;
/** A row of `webhook_endpoint`. */
export type WebhookEndpointRow = Selectable<Schema['webhook_endpoint']>;
/** A row of `api_key`. */
export type ApiKeyRow = Selectable<Schema['api_key']>;
/** A row of `outbox`. */
export type OutboxRow = Selectable<Schema['outbox']>;
/** A row of `audit_event`. */
export type AuditEventRow = Selectable<Schema['audit_event']>;
