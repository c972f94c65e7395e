import { createHash, randomUUID } from 'node:crypto';
import {
  countCallbackAgain,
  hasRoomForUnreadable,
  makeRoomForUnreadable,
} from '../db/callbacks.ts';
import { insertOutboxJobs } from '../db/outbox.ts';
import type { CallbackRow } from '../db/rows.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import type { Channel, RejectionReason } from '../domain/callback.ts';
import { AppError } from '../domain/errors.ts';
import { semanticKey } from '../gateway/callback-grammar.ts';
import { type CallbackMessage, readMessage } from '../gateway/callback-message.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import { judgeJob } from '../domain/outbox-job.ts';
import { networkOfSender } from '../security/source-network.ts';
import { envelopeColumns } from './envelope.ts';
import { findTokenizationsNamedIn } from './named-tokenizations.ts';
import { repeatedArrivalJob } from './repeated-arrival.ts';

/** A message of the gateway as it arrived. */
export interface InboundMessage {
  readonly channel: Channel;
  readonly contentType: string | undefined;
  readonly contentEncoding?: string | undefined;
  /** The query string of a POST that has a body too. */
  readonly query?: string | undefined;
  readonly body: Uint8Array;
  readonly sourceIp: string | undefined;
  /** The tokenization to whose per-request callback URL the message came. */
  readonly addressedTo?: string | undefined;
  /** When a backend received the message; now by default. See `ageMsOf` for its bounds. */
  readonly receivedAt?: Date;
}

/** The inbox row that holds a message, or its first copy if the message is a duplicate. */
export interface AcceptedCallback {
  readonly id: string;
  readonly version: number;
  /** Whether the inbox already held a message with the same fields; the push time may differ. */
  readonly isDuplicate: boolean;
  /** The parsed message; undefined when it is unreadable. */
  readonly message: CallbackMessage | undefined;
}

/** How long a callback may wait for its verdict before the scan enqueues its job again. */
export const verdictTimeoutMs = 5_000;

export interface AcceptCallbackOptions {
  /** Who delivers the message; the gateway by default. */
  readonly audit?: AuditContext;
  /** The id for a new row, if the backend already has one. */
  readonly id?: string;
  /** Whether the caller judges the message itself, so that no job is needed. */
  readonly isContinuedByCaller?: boolean;
}

/** What is known of a message before it is stored. */
interface Assessment {
  readonly message: CallbackMessage | undefined;
  /** Set where no job judges the message. */
  readonly refusal: RejectionReason | undefined;
  /** The tokenization that an unreadable message names, or that the message was addressed to. */
  readonly namedId: string | undefined;
}

/**
 * Commits one inbound message, sealed, with its audit row and the job that judges it. The function
 * needs PostgreSQL only. The listener acknowledges a message once it is stored, before any verdict.
 *
 * An unreadable message is stored in full, so that a later release can judge it; it is judged if it
 * names a tokenization. Unverified senders cannot fill the disk: there are places for so many
 * unreadable messages only, and of a message about an unknown account only a digest and an excerpt
 * are stored.
 */
export async function acceptCallback(
  dependencies: BackendDependencies,
  inbound: InboundMessage,
  options: AcceptCallbackOptions = {},
): Promise<AcceptedCallback> {
  const assessment = await assess(dependencies, inbound);
  const { message, refusal } = assessment;
  const digest = messageDigest(inbound, message, refusal);

  const known = await countCallbackAgain(dependencies.db, digest);
  if (known !== undefined) {
    const job = repeatedArrivalJob(known);
    if (job !== undefined) await insertOutboxJobs(dependencies.db, [job]);
    return duplicateOf(known, message);
  }

  const id = options.id ?? randomUUID();
  const outcome = await dependencies.door.apply({
    entity: 'callback',
    row: { id, version: 0, state: null },
    event: refusal === undefined ? 'callback.received' : 'callback.refused',
    patch: {
      ...newCallbackColumns(dependencies, inbound, assessment, digest),
      ...envelopeColumns(
        dependencies.keyring,
        id,
        inbound,
        await makeRoomFor(dependencies, inbound, assessment),
      ),
    },
    audit: {
      ...(options.audit ?? { actor: { type: 'gateway', id: inbound.channel } }),
      channel: inbound.channel,
      evidenceId: id,
      evidenceDigest: digest,
      reason: refusal,
    },
    jobs:
      refusal !== undefined || options.isContinuedByCaller === true
        ? []
        : [judgeJob(inbound.channel, id, 1)],
  });
  if (outcome.isApplied) return { id, version: 1, isDuplicate: false, message };

  // A concurrent call stored the same message first.
  const concurrent = await countCallbackAgain(dependencies.db, digest);
  if (concurrent === undefined) {
    throw new AppError(
      'internal',
      'The database neither stored the callback nor found an earlier copy. Deliver it again.',
    );
  }
  return duplicateOf(concurrent, message);
}

async function assess(
  dependencies: BackendDependencies,
  inbound: InboundMessage,
): Promise<Assessment> {
  const read = readMessage(inbound, dependencies.settings.messages);
  if (inbound.addressedTo !== undefined) {
    const message = read.ok ? read.message : undefined;
    return { message, refusal: undefined, namedId: inbound.addressedTo };
  }
  if (!read.ok) {
    const [named] = await findTokenizationsNamedIn(dependencies, inbound);
    const refusal = named === undefined ? 'unreadable' : undefined;
    return { message: undefined, refusal, namedId: named?.id };
  }
  const { account, terminal } = read;
  const stored = await dependencies.accounts.findByAccount(account, terminal);
  const refusal = stored === undefined ? 'unknown_account' : undefined;
  return { message: read.message, refusal, namedId: undefined };
}

/** Whether a message may be stored in full; another one may be deleted to make room for it. */
async function makeRoomFor(
  { db, settings }: BackendDependencies,
  { channel, addressedTo }: InboundMessage,
  { message, refusal, namedId }: Assessment,
): Promise<boolean> {
  if (message !== undefined) return refusal === undefined;
  // Only the gateway knows the URL for pushes of a request.
  const isProven = channel === 'notify' && addressedTo !== undefined;
  if (isProven && settings.notifyAddressProves === true) return true;
  if (namedId !== undefined) {
    const isAddressed = addressedTo !== undefined;
    return await hasRoomForUnreadable(db, { tokenizationId: namedId, channel, isAddressed });
  }
  await makeRoomForUnreadable(db);
  return true;
}

function newCallbackColumns(
  { keyring, settings }: BackendDependencies,
  inbound: InboundMessage,
  { message, refusal, namedId }: Assessment,
  digest: string,
): Readonly<Record<string, unknown>> {
  const fields = refusal === undefined ? message?.fields : undefined;
  return {
    channel: inbound.channel,
    semantic_key: message === undefined ? digest : semanticKey(inbound.channel, message),
    message_digest: digest,
    account: fields?.account ?? null,
    terminal: fields?.terminal ?? null,
    merchant_reference_id: storableReference(fields?.merchantReferenceId),
    order_reference_id: storableReference(fields?.orderReferenceId),
    tokenization_id: namedId ?? null,
    is_addressed: inbound.addressedTo !== undefined,
    source_index:
      inbound.sourceIp === undefined
        ? null
        : keyring.blindIndex('source_ip', networkOfSender(inbound.sourceIp)),
    reason: message === undefined ? 'unreadable' : (refusal ?? null),
    received_at_in_ms: -ageMsOf(inbound, settings.refusedCallbackMaxAgeMs),
    last_seen_at_in_ms: 0,
    ...(refusal === undefined ? { due_at_in_ms: verdictTimeoutMs } : {}),
  };
}

/**
 * How long ago a backend received a message, in milliseconds. The backend's clock may be wrong, so
 * an instant in the future counts as now, and the age never exceeds `ageMsMax`.
 */
function ageMsOf({ receivedAt }: InboundMessage, ageMsMax: number): number {
  if (receivedAt === undefined) return 0;
  return Math.min(ageMsMax, Math.max(0, Date.now() - receivedAt.getTime()));
}

/**
 * A reference cut to its column. PostgreSQL refuses half a surrogate pair, which the cut may leave.
 */
export function storableReference(reference: string | undefined): string | null {
  return reference?.slice(0, 50).toWellFormed() ?? null;
}

/**
 * A digest of a message without its push time, which differs in each attempt. Names and values are
 * encoded as JSON, so that no value can imitate the border between two fields.
 */
function messageDigest(
  inbound: InboundMessage,
  message: CallbackMessage | undefined,
  refusal: RejectionReason | undefined,
): string {
  const hash = createHash('sha256').update(`${inbound.channel}\0`);
  // A refused message is stored as an excerpt. Once its account is known, the same message must not
  // count as a duplicate of it.
  if (refusal !== undefined) hash.update('refused\0');
  // A message at a per-request URL proves more than the same message at the shared URL, so they are
  // not duplicates.
  if (inbound.addressedTo !== undefined) hash.update(`addressed\0${inbound.addressedTo}\0`);
  if (message === undefined) {
    return hash
      .update(inbound.body)
      .update(`\0${inbound.query ?? ''}`)
      .digest('hex');
  }
  const fields = Object.entries(message.raw)
    .filter(([name]) => name !== 'push_dateTime')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return hash.update(JSON.stringify(fields)).digest('hex');
}

function duplicateOf(
  { id, version }: CallbackRow,
  message: CallbackMessage | undefined,
): AcceptedCallback {
  return { id, version, isDuplicate: true, message };
}
