import { createHash, randomUUID } from 'node:crypto';
import { countCallbackAgain } from '../db/callbacks.ts';
import { findCredentialByAccount } from '../db/credentials.ts';
import type { CallbackRow } from '../db/rows.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import type { Channel, RejectionReason } from '../domain/callback.ts';
import { AppError } from '../domain/errors.ts';
import { semanticKey } from '../gateway/callback-grammar.ts';
import { type CallbackMessage, parseCallback } from '../gateway/callback-message.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import { judgeJob } from '../domain/outbox-job.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/** A message as it came in. */
export interface InboundMessage {
  readonly channel: Channel;
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
  readonly sourceIp: string | undefined;
  /** When a backend received it; absent: now. What lies ahead counts as now, and what lies further back than messages of strangers are kept as that. */
  readonly receivedAt?: Date;
}

/** The inbox row that stands for a message. */
export interface AcceptedCallback {
  readonly id: string;
  readonly version: number;
  /** A message that said the same, in every field but the push time, was in the inbox before. */
  readonly isDuplicate: boolean;
  /** The message as it was read, for callers that need its reference; undefined when it can't be read. */
  readonly message: CallbackMessage | undefined;
}

/** How long a callback may wait for its verdict before the scan puts its job back. */
export const verdictTimeoutMs = 5_000;
const excerptBytes = 256;

/** Who hands a message over, and whether the caller goes on with the work itself instead of leaving it to a job. */
export interface AcceptCallbackOptions {
  readonly audit?: AuditContext;
  /** The id of a new inbox row, where its caller was told one before. */
  readonly id?: string;
  readonly isContinuedByCaller?: boolean;
}

/**
 * Commits one inbound message, sealed, with its audit row and the job that judges it. It needs Postgres only, and decides nothing: a message is
 * acknowledged because it is kept, not because it is believed.
 *
 * What can't be read, and what names an account that we don't hold, is kept as a digest and a short excerpt, so that
 * strangers can't fill the disk.
 */
export async function acceptCallback(
  dependencies: BackendDependencies,
  inbound: InboundMessage,
  options: AcceptCallbackOptions = {},
): Promise<AcceptedCallback> {
  const parsed = parseCallback({ contentType: inbound.contentType, body: inbound.body });
  const message = parsed.ok ? parsed.message : undefined;
  const refusal = await refusalOf(dependencies, message);
  const digest = messageDigest(inbound, message, refusal);

  const again = await countCallbackAgain(dependencies.db, digest);
  if (again !== undefined) return asAccepted(again, true, message);

  const id = options.id ?? randomUUID();
  const outcome = await dependencies.door.apply({
    entity: 'callback',
    row: { id, version: 0, state: null },
    event: refusal === undefined ? 'callback.received' : 'callback.refused',
    patch: newRow(dependencies, id, inbound, { message, digest, refusal }),
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

  // The same message came in twice at once, and the other one was first.
  const winner = await countCallbackAgain(dependencies.db, digest);
  if (winner === undefined) {
    throw new AppError('internal', 'A callback was neither new nor known.');
  }
  return asAccepted(winner, true, message);
}

async function refusalOf(
  { db }: BackendDependencies,
  message: CallbackMessage | undefined,
): Promise<RejectionReason | undefined> {
  if (message === undefined) return 'unreadable';
  const { account, terminal } = message.fields;
  if (account === undefined || terminal === undefined) return 'unknown_account';
  const credential = await findCredentialByAccount(db, account, terminal);
  return credential === undefined ? 'unknown_account' : undefined;
}

function newRow(
  { keyring, settings }: BackendDependencies,
  id: string,
  inbound: InboundMessage,
  judged: {
    message: CallbackMessage | undefined;
    digest: string;
    refusal: RejectionReason | undefined;
  },
): Readonly<Record<string, unknown>> {
  const { message, digest, refusal } = judged;
  const isKept = refusal === undefined;
  const kept = isKept ? inbound.body : inbound.body.subarray(0, excerptBytes);
  return {
    channel: inbound.channel,
    semantic_key: message === undefined ? digest : semanticKey(inbound.channel, message),
    message_digest: digest,
    content_type: inbound.contentType?.slice(0, 255) ?? null,
    body_sealed: keyring.seal(
      sealedPlace('callback', 'body_sealed', id),
      Buffer.from(kept).toString('utf8'),
    ),
    body_bytes: inbound.body.byteLength,
    account: isKept ? (message?.fields.account ?? null) : null,
    terminal: isKept ? (message?.fields.terminal ?? null) : null,
    merchant_reference_id: isKept ? storable(message?.fields.merchantReferenceId) : null,
    order_reference_id: isKept ? storable(message?.fields.orderReferenceId) : null,
    source_index:
      inbound.sourceIp === undefined ? null : keyring.blindIndex('source_ip', inbound.sourceIp),
    reason: refusal ?? null,
    received_at_in_ms: -ageMsOf(inbound, settings.refusedCallbackMaxAgeMs),
    last_seen_at_in_ms: 0,
    ...(isKept ? { due_at_in_ms: verdictTimeoutMs } : {}),
  };
}

/** How long ago a message was received, in milliseconds. Bounded, since it is what somebody else's clock says. */
function ageMsOf({ receivedAt }: InboundMessage, ageMsMax: number): number {
  if (receivedAt === undefined) return 0;
  return Math.min(ageMsMax, Math.max(0, Date.now() - receivedAt.getTime()));
}

/** A reference as a column can hold it: half of a character, sent or cut so, is no text to PostgreSQL. */
function storable(reference: string | undefined): string | null {
  return reference?.slice(0, 50).toWellFormed() ?? null;
}

/**
 * A digest of all that a message says but its push time, which differs with every attempt. Names and values are
 * encoded as JSON, so that no value can pose as a border between two fields.
 */
function messageDigest(
  inbound: InboundMessage,
  message: CallbackMessage | undefined,
  refusal: RejectionReason | undefined,
): string {
  const hash = createHash('sha256').update(`${inbound.channel}\0`);
  // Of a refused message only an excerpt is kept: it must not swallow the same message once its account is known.
  if (refusal !== undefined) hash.update('refused\0');
  if (message === undefined) return hash.update(inbound.body).digest('hex');
  const said = Object.entries(message.raw)
    .filter(([name]) => name !== 'push_dateTime')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return hash.update(JSON.stringify(said)).digest('hex');
}

function asAccepted(
  row: CallbackRow,
  isDuplicate: boolean,
  message: CallbackMessage | undefined,
): AcceptedCallback {
  return { id: row.id, version: row.version, isDuplicate, message };
}
