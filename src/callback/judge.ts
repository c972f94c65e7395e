import { databaseNow } from '../db/connection/database.ts';
import { isEvidenceOf } from '../db/audit.ts';
import { findCallback, postponeCallback } from '../db/callbacks.ts';
import type { CallbackRow, TokenizationRow } from '../db/rows.ts';
import { findTokenization, findTokenizationByEvidence } from '../db/tokenizations.ts';
import type { RejectionReason } from '../domain/callback.ts';
import { isStatusBorderClear } from '../domain/status-words.ts';
import { checkGrammar, isTokenMessage } from '../gateway/callback-grammar.ts';
import { type CallbackMessage, readMessage } from '../gateway/callback-message.ts';
import { applyEvidence, evidenceEvents, type Evidence } from '../tokenization/evidence/apply.ts';
import { done, type JobContext, type Outcome, snooze } from '../execution/define-job.ts';
import type { SigningAccount } from '../account/open-account.ts';
import { judgeSignature, type SignatureJudgement } from './signature-policy.ts';
import { isUnambiguous, mismatchOf } from '../tokenization/evidence/match-request.ts';
import { openEnvelope, type StoredEnvelope } from './envelope.ts';
import { queryAboutRepeatedArrival } from './query-about-repeated.ts';
import { queryAboutUnreadable } from './query-about-unreadable.ts';

/** The changes that judging a callback may commit. */
export const judgingEvents = [
  'callback.received',
  'callback.refused',
  'callback.accepted',
  'callback.rejected',
  'callback.orphaned',
  'callback.matched',
  'callback.abandoned',
  ...evidenceEvents,
] as const;

export type JudgingContext = JobContext<(typeof judgingEvents)[number]>;

/**
 * A postponed callback becomes due this long after its job should run, so that the scan enqueues it
 * only when that job was lost.
 */
const jobGraceMs = 30_000;

/**
 * How long a new orphan waits before it is judged again. A tokenization whose transaction was open
 * in between did not see the orphan, so its trigger enqueued nothing.
 */
const orphanRecheckMs = 5_000;

/**
 * Judges one message of the inbox: grammar, signature, then equality with the request that it
 * names. Only a message that passes all three becomes evidence. A right signature alone proves
 * little, because the gateway joins the signed values without separators.
 *
 * The evidence is applied before the verdict is written. A crash in between applies the evidence
 * again, which changes nothing.
 */
export async function judgeCallback(callbackId: string, context: JudgingContext): Promise<Outcome> {
  const callback = await findCallback(context.db, callbackId);
  if (callback === undefined) return done('callback_gone');
  if (
    callback.state !== 'received' &&
    callback.state !== 'orphaned' &&
    callback.state !== 'matched'
  ) {
    return await queryAboutRepeatedArrival(callback, context);
  }
  const envelope = openEnvelope(context.keyring, callback);
  const read = readMessage(envelope, context.settings.messages);
  if (!read.ok) {
    const rejection = { reason: 'unreadable', detail: { paths: [read.reason] } } as const;
    return await rejectMessage({ callback, envelope, message: undefined }, rejection, context);
  }
  const { message } = read;
  const inbox = { callback, envelope, message };
  if (!isTokenMessage(message)) {
    return await rejectMessage(inbox, { reason: 'not_a_token_message' }, context);
  }
  const faults = checkGrammar(message, context.settings.statusMap);
  if (faults.length > 0) {
    const paths = faults.map(({ field, reason }) => `${field}:${reason}`);
    const isStatusOnly = faults.every(({ reason }) => reason === 'unknown');
    const reason = isStatusOnly ? 'unknown_status' : 'grammar';
    return await rejectMessage(inbox, { reason, detail: { paths } }, context);
  }
  const account = await findSigningAccount(inbox, context);
  if (account === undefined) {
    return await rejectMessage(inbox, { reason: 'unknown_account' }, context);
  }
  return await judgeReadable(inbox, account, context);
}

/** A message of the inbox: its row, how it arrived, and its fields where they are readable. */
interface Unread {
  readonly callback: CallbackRow;
  readonly envelope: StoredEnvelope;
  readonly message: CallbackMessage | undefined;
}

type InboxMessage = Unread & { readonly message: CallbackMessage };

/** Rejection reasons of messages that are unreadable, or have an unreadable field. */
const unreadReasons: ReadonlySet<RejectionReason> = new Set([
  'unreadable',
  'grammar',
  'unknown_status',
]);

async function judgeReadable(
  inbox: InboxMessage,
  account: SigningAccount,
  context: JudgingContext,
): Promise<Outcome> {
  const { callback, message } = inbox;
  const policy = context.settings.signatures[callback.channel];
  const signature = judgeSignature(message, account.secureCodes, policy);
  const isAddressProof = provesByAddress(callback, context);
  const detail = { ...signatureDetail(signature), ...(isAddressProof && { proof: 'address' }) };
  if (signature.rejection !== undefined && !isAddressProof) {
    return await rejectMessage(inbox, { reason: signature.rejection, detail }, context);
  }
  const tokenization = await findTokenizationOf(inbox, account, context);
  if (tokenization === undefined) return await parkOrphan(callback, signature, context);

  const isProven = signature.isProven || isAddressProof;
  const matched = await matchOrphan(callback, tokenization, context);
  if (matched === undefined) return done('already_judged');
  const mismatch = mismatchOf(message, tokenization, context.settings.statusMap);
  if (mismatch !== undefined) {
    // At the URL of another request, the address proves the sender but not which request the
    // message is about.
    const isBelieved = signature.isProven || (isAddressProof && !isOfOtherReference(mismatch));
    const learned = { is_believed: isBelieved, tokenization_id: tokenization.id };
    const rejection = { reason: mismatch, detail, learned };
    return await rejectMessage({ ...inbox, callback: matched }, rejection, context);
  }
  const evidence: Evidence = {
    callback: matched,
    message,
    isSigned: isProven,
    isProven:
      isAddressProof ||
      (signature.isProven &&
        isStatusBorderClear(context.settings.statusMap) &&
        isUnambiguous(policy.fields, message, tokenization)),
  };
  const applied = await applyEvidence(evidence, tokenization, context);
  if (applied.kind === 'snooze') {
    await postponeCallback(context.db, matched.id, applied.delayMs + jobGraceMs);
  }
  if (applied.kind !== 'done') return applied;
  await context.apply({
    entity: 'callback',
    row: matched,
    event: 'callback.accepted',
    patch: {
      is_believed: isProven || (await hasTokenizationChanged(matched, tokenization, context)),
      tokenization_id: tokenization.id,
      // Another release may have stored the message as unreadable.
      reason: null,
      due_at: null,
    },
    audit: { channel: matched.channel, reason: applied.result, detail },
  });
  return applied;
}

/**
 * Whether a push came to its per-request callback URL. The worker told that URL to the gateway
 * only, so it proves the sender without any rule for signatures.
 */
function provesByAddress(
  { channel, is_addressed: isAddressed }: CallbackRow,
  { settings }: JudgingContext,
): boolean {
  return channel === 'notify' && isAddressed && settings.notifyAddressProves;
}

function isOfOtherReference(mismatch: RejectionReason): boolean {
  return mismatch === 'merchant_reference_mismatch' || mismatch === 'order_reference_mismatch';
}

async function findTokenizationOf(
  { callback, message }: InboxMessage,
  { account, terminal }: SigningAccount,
  { db }: JudgingContext,
): Promise<TokenizationRow | undefined> {
  if (callback.is_addressed && callback.tokenization_id !== null) {
    return await findTokenization(db, callback.tokenization_id);
  }
  const { merchantReferenceId, orderReferenceId } = message.fields;
  const evidence = { account, terminal, merchantReferenceId, orderReferenceId };
  return await findTokenizationByEvidence(db, evidence);
}

/**
 * Whether the message, or anything else, changed the tokenization. Then retention keeps the
 * message.
 */
async function hasTokenizationChanged(
  callback: CallbackRow,
  { id, version }: TokenizationRow,
  { db }: JudgingContext,
): Promise<boolean> {
  if ((await findTokenization(db, id))?.version !== version) return true;
  return await isEvidenceOf(db, callback.id, id);
}

/** The account of a message, read again where the codes that the process keeps prove nothing. */
async function findSigningAccount(
  { callback, message }: InboxMessage,
  { accounts, settings }: JudgingContext,
): Promise<SigningAccount | undefined> {
  const { account, terminal } = message.fields;
  if (account === undefined || terminal === undefined) return undefined;
  const policy = settings.signatures[callback.channel];
  const stored = await accounts.findByAccount(
    account,
    terminal,
    ({ open }) =>
      policy.mode === 'off' || judgeSignature(message, open().secureCodes, policy).isProven,
  );
  return stored?.open();
}

/**
 * A message about an unknown reference waits as an orphan. When its tokenization appears, a
 * database trigger enqueues this job again.
 */
async function parkOrphan(
  callback: CallbackRow,
  { isProven }: SignatureJudgement,
  context: JudgingContext,
): Promise<Outcome> {
  if (callback.state !== 'received') {
    return await keepOrphanWaiting(callback, 'unknown_reference', context);
  }
  await context.apply({
    entity: 'callback',
    row: callback,
    event: 'callback.orphaned',
    patch: { is_believed: isProven, due_at_in_ms: context.settings.orphanMaxAgeMs },
    audit: { channel: callback.channel, reason: 'unknown_reference' },
  });
  return snooze(orphanRecheckMs, 'orphaned');
}

/**
 * Leaves an orphan as it is until it is too old, then abandons it and logs an error: the gateway
 * may hold a token that this worker does not know.
 */
async function keepOrphanWaiting(
  callback: CallbackRow,
  reason: RejectionReason | 'unknown_reference',
  context: JudgingContext,
): Promise<Outcome> {
  const now = await databaseNow(context.db);
  const isOver = callback.due_at !== null && callback.due_at <= now;
  if (callback.state !== 'orphaned' || !isOver) return done('still_orphaned');
  const outcome = await context.apply({
    entity: 'callback',
    row: callback,
    event: 'callback.abandoned',
    patch: { due_at: null, reason },
    audit: { channel: callback.channel, reason },
  });
  if (outcome.isApplied) {
    context.logger.error(
      { callbackId: callback.id, channel: callback.channel, reason },
      'callback abandoned: the worker could not match it to a tokenization in time; remove the cause named in "reason", then run "token-worker callbacks replay <callbackId>"',
    );
  }
  return done('abandoned');
}

async function matchOrphan(
  callback: CallbackRow,
  tokenization: TokenizationRow,
  context: JudgingContext,
): Promise<CallbackRow | undefined> {
  if (callback.state !== 'orphaned') return callback;
  const outcome = await context.apply({
    entity: 'callback',
    row: callback,
    event: 'callback.matched',
    patch: { tokenization_id: tokenization.id, due_at_in_ms: context.settings.leaseMs },
    audit: { channel: callback.channel },
  });
  if (!outcome.isApplied) return undefined;
  return { ...callback, state: 'matched', version: outcome.version };
}

interface Rejection {
  readonly reason: RejectionReason;
  readonly detail?: Readonly<Record<string, string | readonly string[]>>;
  /** Columns whose values are known by the time the message is rejected. */
  readonly learned?: { readonly is_believed: boolean; readonly tokenization_id: string };
}

async function rejectCallback(
  callback: CallbackRow,
  { reason, detail = {}, learned }: Rejection,
  context: JudgingContext,
): Promise<Outcome> {
  // The transition table has no rejection of an orphan, so it waits until it is abandoned.
  if (callback.state === 'orphaned') return await keepOrphanWaiting(callback, reason, context);
  await context.apply({
    entity: 'callback',
    row: callback,
    event: 'callback.rejected',
    patch: { is_believed: false, ...learned, reason, due_at: null },
    audit: { channel: callback.channel, reason, detail },
  });
  return done(`rejected_${reason}`);
}

/**
 * Rejects a message. The worker queries the gateway first if the message came to a per-request
 * callback URL. It also queries first if the message, or one of its fields, is unreadable and the
 * message names tokenizations.
 */
async function rejectMessage(
  { callback, envelope, message }: Unread,
  rejection: Rejection,
  context: JudgingContext,
): Promise<Outcome> {
  const isUnread = unreadReasons.has(rejection.reason);
  if (!callback.is_addressed && !isUnread) {
    return await rejectCallback(callback, rejection, context);
  }
  // At a shared URL, a message with a broken grammar comes from an unverified sender, not from the
  // gateway.
  const isRepeated = callback.is_addressed || rejection.reason !== 'grammar';
  const searched = { envelope, fields: message?.fields };
  const queries = await queryAboutUnreadable(callback, searched, { ...context, isRepeated });
  if (queries.kind === 'settled') {
    const isBelieved = rejection.learned?.is_believed === true;
    const learned = queries.learned && {
      ...queries.learned,
      is_believed: isBelieved || queries.learned.is_believed,
    };
    return await rejectCallback(
      callback,
      learned === undefined ? rejection : { ...rejection, learned },
      context,
    );
  }
  await postponeCallback(context.db, callback.id, queries.outcome.delayMs + jobGraceMs);
  return queries.outcome;
}

function signatureDetail({ verdict, list }: SignatureJudgement): Record<string, string> {
  return { signatureVerdict: verdict, ...(list === undefined ? {} : { signatureList: list }) };
}
