import type { Migration } from 'kysely/migration';
import * as roles from '../../migrations/0001_roles.ts';
import * as credential from '../../migrations/0002_credential.ts';
import * as tokenization from '../../migrations/0003_tokenization.ts';
import * as callback from '../../migrations/0004_callback.ts';
import * as accessToken from '../../migrations/0005_access_token.ts';
import * as auditEvent from '../../migrations/0006_audit_event.ts';
import * as outbox from '../../migrations/0007_outbox.ts';
import * as timeline from '../../migrations/0008_timeline.ts';
import * as callbackRetention from '../../migrations/0009_callback_retention.ts';
import * as delivery from '../../migrations/0010_delivery.ts';
import * as accessTokenReaders from '../../migrations/0011_access_token_readers.ts';
import * as enqueue from '../../migrations/0012_enqueue.ts';
import * as apiKey from '../../migrations/0013_api_key.ts';
import * as tokenizationLookup from '../../migrations/0013_tokenization_lookup.ts';
import * as dueCallbacks from '../../migrations/0014_due_callbacks.ts';
import * as unbelievedCallbacks from '../../migrations/0015_callback_retention.ts';
import * as outboxDue from '../../migrations/0016_outbox_due.ts';
import * as deliveryHold from '../../migrations/0017_delivery_hold.ts';
import * as expiryNotice from '../../migrations/0035_expiry_notice.ts';
import * as configuredCredential from '../../migrations/0045_configured_credential.ts';
import * as renewalSince from '../../migrations/0050_renewal_since.ts';
import * as accessTokenEnvironment from '../../migrations/0051_access_token_environment.ts';

/** Every migration by name, in order. An explicit list works the same from sources and from the built package. */
export const migrations: Record<string, Migration> = {
  '0001_roles': roles,
  '0002_credential': credential,
  '0003_tokenization': tokenization,
  '0004_callback': callback,
  '0005_access_token': accessToken,
  '0006_audit_event': auditEvent,
  '0007_outbox': outbox,
  '0008_timeline': timeline,
  '0009_callback_retention': callbackRetention,
  '0010_delivery': delivery,
  '0011_access_token_readers': accessTokenReaders,
  '0012_enqueue': enqueue,
  '0013_api_key': apiKey,
  '0013_tokenization_lookup': tokenizationLookup,
  '0014_due_callbacks': dueCallbacks,
  '0015_callback_retention': unbelievedCallbacks,
  '0016_outbox_due': outboxDue,
  '0017_delivery_hold': deliveryHold,
  '0035_expiry_notice': expiryNotice,
  '0045_configured_credential': configuredCredential,
  '0050_renewal_since': renewalSince,
  '0051_access_token_environment': accessTokenEnvironment,
};
