import type { Migration } from 'kysely/migration';
import * as roles from '../../../migrations/0001_roles.ts';
import * as credential from '../../../migrations/0002_credential.ts';
import * as tokenization from '../../../migrations/0003_tokenization.ts';
import * as callback from '../../../migrations/0004_callback.ts';
import * as callbackDeletion from '../../../migrations/0005_callback_deletion.ts';
import * as delivery from '../../../migrations/0006_delivery.ts';
import * as webhookEndpoint from '../../../migrations/0007_webhook_endpoint.ts';
import * as accessToken from '../../../migrations/0008_access_token.ts';
import * as accessTokenNotify from '../../../migrations/0009_access_token_notify.ts';
import * as auditEvent from '../../../migrations/0010_audit_event.ts';
import * as auditPartitions from '../../../migrations/0011_audit_partitions.ts';
import * as timeline from '../../../migrations/0012_timeline.ts';
import * as outbox from '../../../migrations/0013_outbox.ts';
import * as deadLetter from '../../../migrations/0014_dead_letter.ts';
import * as scanRun from '../../../migrations/0015_scan_run.ts';
import * as apiKey from '../../../migrations/0016_api_key.ts';
import * as payloadFaults from '../../../migrations/0017_payload_faults.ts';
import * as enqueue from '../../../migrations/0018_enqueue.ts';
import * as orphanReunion from '../../../migrations/0019_orphan_reunion.ts';
import * as credentialGuard from '../../../migrations/0020_credential_guard.ts';
import * as accessTokenRead from '../../../migrations/0021_access_token_read.ts';
import * as hostRateLimit from '../../../migrations/0022_host_rate_limit.ts';
import * as lostAnswer from '../../../migrations/0023_lost_answer.ts';
import * as timelineReferences from '../../../migrations/0024_timeline_references.ts';
import * as deliveryEventAt from '../../../migrations/0025_delivery_event_at.ts';
import * as callbackEnvelope from '../../../migrations/0026_callback_envelope.ts';
import * as callbackAddress from '../../../migrations/0027_callback_address.ts';
import * as payloadLengths from '../../../migrations/0028_payload_lengths.ts';
import * as lostReplyCause from '../../../migrations/0029_lost_reply_cause.ts';
import * as abandonedReferences from '../../../migrations/0030_abandoned_references.ts';
import * as newestFirstByState from '../../../migrations/0031_newest_first_by_state.ts';
import * as tokenizationsOfCredential from '../../../migrations/0032_tokenizations_of_credential.ts';
import * as orphansByStatement from '../../../migrations/0033_orphans_by_statement.ts';
import * as unreadableOfNoTokenization from '../../../migrations/0034_unreadable_of_no_tokenization.ts';

/**
 * Every migration by name, in order. An explicit list works the same from sources and from the
 * built package. A new migration takes the next number; a released one is never edited.
 */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001_roles': roles,
  '0002_credential': credential,
  '0003_tokenization': tokenization,
  '0004_callback': callback,
  '0005_callback_deletion': callbackDeletion,
  '0006_delivery': delivery,
  '0007_webhook_endpoint': webhookEndpoint,
  '0008_access_token': accessToken,
  '0009_access_token_notify': accessTokenNotify,
  '0010_audit_event': auditEvent,
  '0011_audit_partitions': auditPartitions,
  '0012_timeline': timeline,
  '0013_outbox': outbox,
  '0014_dead_letter': deadLetter,
  '0015_scan_run': scanRun,
  '0016_api_key': apiKey,
  '0017_payload_faults': payloadFaults,
  '0018_enqueue': enqueue,
  '0019_orphan_reunion': orphanReunion,
  '0020_credential_guard': credentialGuard,
  '0021_access_token_read': accessTokenRead,
  '0022_host_rate_limit': hostRateLimit,
  '0023_lost_answer': lostAnswer,
  '0024_timeline_references': timelineReferences,
  '0025_delivery_event_at': deliveryEventAt,
  '0026_callback_envelope': callbackEnvelope,
  '0027_callback_address': callbackAddress,
  '0028_payload_lengths': payloadLengths,
  '0029_lost_reply_cause': lostReplyCause,
  '0030_abandoned_references': abandonedReferences,
  '0031_newest_first_by_state': newestFirstByState,
  '0032_tokenizations_of_credential': tokenizationsOfCredential,
  '0033_orphans_by_statement': orphansByStatement,
  '0034_unreadable_of_no_tokenization': unreadableOfNoTokenization,
};
