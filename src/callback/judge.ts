import { databaseNow } from '../db/database.ts';
import { isEvidenceOf } from '../db/audit.ts';
import { findCallback, postponeCallback } from '../db/callbacks.ts';
import { findCredentialByAccount } from '../db/credentials.ts';
import type { CallbackRow, TokenizationRow } from '../db/rows.ts';
import { findTokenization, findTokenizationByEvidence } from '../db/tokenizations.ts';
import type { RejectionReason } from '../domain/callback.ts';
import { checkGrammar, isTokenMessage } from '../gateway/callback-grammar.ts';
import { type CallbackMessage, parseCallback } from '../gateway/callback-message.ts';
import { applyEvidence, evidenceEvents, type Evidence } from '../tokenization/evidence/apply.ts';
import { done, type JobContext, type Outcome, snooze } from '../execution/define-job.ts';
import { openAccount, type SigningAccount } from '../account/open-account.ts';
import { judgeSignature, type SignatureJudgement } from './signature-policy.ts';
import { isUnambiguous, mismatchOf } from '../tokenization/evidence/match-request.ts';
import { sealedPlace } from '../db/sealed-place.ts';

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

/** The context of a job that judges callbacks. */
export type JudgingContext = JobContext<(typeof judgingEvents)[number]>;

/**
 * Judges one message of the inbox: grammar, signature, then equality with the request it claims to be about. Only what passes all three becomes
 * evidence; a right signature alone proves little, because the gateway joins the signed values without separators.
 *
 * Evidence is applied before the verdict is written. A crash in between repeats the evidence, which changes nothing.
 */
export async function judgeCallback(callbackId: string, context: JudgingContext): Promise<Outcome> {
  const callback = await findCallback(context.db, callbackId);
  if (callback === undefined) return done('callback_gone');
  if (
    callback.state !== 'received' &&
    callback.state !== 'orphaned' &&
    callback.state !== 'matched'
  ) {
    return done('already_judged');
  }
  const parsed = parseCallback({
    contentType: callback.content_type ?? undefined,
    body: context.keyring
      .open(sealedPlace('callback', 'body_sealed', callback.id), callback.body_sealed)
      .reveal(),
  });
  if (!parsed.ok) return await reject(callback, 'unreadable', context, { paths: [parsed.reason] });

  const { message } = parsed;
  if (!isTokenMessage(message)) return await reject(callback, 'not_a_token_message', context);
  const faults = checkGrammar(message);
  if (faults.length > 0) {
    const paths = faults.map(({ field, reason }) => `${field}:${reason}`);
    return await reject(callback, 'grammar', context, { paths });
  }
  const account = await findAccount(message, context);
  if (account === undefined) return await reject(callback, 'unknown_account', context);
  return await judgeReadable(callback, message, account, context);
}

async function judgeReadable(
  callback: CallbackRow,
  message: CallbackMessage,
  account: SigningAccount,
  context: JudgingContext,
): Promise<Outcome> {
  const signature = judgeSignature(
    message,
    account.secureCodes,
    context.settings.signatures[callback.channel],
  );
  if (signature.rejection !== undefined) {
    return await reject(callback, signature.rejection, context, signatureDetail(signature));
  }
  const tokenization = await findTokenizationByEvidence(context.db, {
    account: account.account,
    terminal: account.terminal,
    merchantReferenceId: message.fields.merchantReferenceId,
    orderReferenceId: message.fields.orderReferenceId,
  });
  if (tokenization === undefined) return await park(callback, signature, context);

  const found = await match(callback, tokenization, context);
  if (found === undefined) return done('already_judged');
  const mismatch = mismatchOf(message, tokenization);
  if (mismatch !== undefined) {
    return await reject(found, mismatch, context, signatureDetail(signature), {
      is_believed: signature.isProven,
      tokenization_id: tokenization.id,
    });
  }
  const { fields } = context.settings.signatures[callback.channel];
  const evidence: Evidence = {
    callback: found,
    message,
    isSigned: signature.isProven,
    isProven: signature.isProven && isUnambiguous(fields, message, tokenization),
  };
  const applied = await applyEvidence(evidence, tokenization, context);
  if (applied.kind === 'snooze') {
    await postponeCallback(context.db, found.id, applied.delayMs + jobLostAfterMs);
  }
  if (applied.kind !== 'done') return applied;
  await context.apply({
    entity: 'callback',
    row: found,
    event: 'callback.accepted',
    patch: {
      is_believed: signature.isProven || (await hasChanged(found, tokenization, context)),
      tokenization_id: tokenization.id,
      due_at: null,
    },
    audit: { channel: found.channel, reason: applied.result, detail: signatureDetail(signature) },
  });
  return applied;
}

/** Whether a message has changed its tokenization, or something else has meanwhile: then the message is kept. */
async function hasChanged(
  callback: CallbackRow,
  { id, version }: TokenizationRow,
  { db }: JudgingContext,
): Promise<boolean> {
  if ((await findTokenization(db, id))?.version !== version) return true;
  return await isEvidenceOf(db, callback.id, id);
}

async function findAccount(
  message: CallbackMessage,
  { db, keyring }: JudgingContext,
): Promise<SigningAccount | undefined> {
  const { account, terminal } = message.fields;
  if (account === undefined || terminal === undefined) return undefined;
  const row = await findCredentialByAccount(db, account, terminal);
  return row === undefined ? undefined : openAccount(keyring, row);
}

/** How long after its time the job of a message that waits counts as lost. */
const jobLostAfterMs = 30_000;

/** How long after it was parked an orphan looks once more for a tokenization that was being written meanwhile and did not see it. */
const secondLookMs = 5_000;

/**
 * A message for a reference that we don't know (yet) waits until its tokenization appears, which puts this job back. One that waited
 * for too long is given up with an alarm: somebody pays for tokens that this worker knows nothing of.
 */
async function park(
  callback: CallbackRow,
  { isProven }: SignatureJudgement,
  context: JudgingContext,
): Promise<Outcome> {
  if (callback.state !== 'received')
    return await keepWaiting(callback, 'unknown_reference', context);
  await context.apply({
    entity: 'callback',
    row: callback,
    event: 'callback.orphaned',
    patch: { is_believed: isProven, due_at_in_ms: context.settings.orphanMaxAgeMs },
    audit: { channel: callback.channel, reason: 'unknown_reference' },
  });
  return snooze(secondLookMs, 'orphaned');
}

/** Leaves an orphan that can't be believed (yet) as it is, until its time is over. */
async function keepWaiting(
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
      'a message of the gateway was given up: no tokenization has appeared that it can be believed about',
    );
  }
  return done('abandoned');
}

async function match(
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

async function reject(
  callback: CallbackRow,
  reason: RejectionReason,
  context: JudgingContext,
  detail: Readonly<Record<string, string | readonly string[]>> = {},
  learned: Readonly<{ is_believed?: boolean; tokenization_id?: string }> = {},
): Promise<Outcome> {
  // An orphan that can't be believed after all stays an orphan until it is given up: its table knows no rejection.
  if (callback.state === 'orphaned') return await keepWaiting(callback, reason, context);
  await context.apply({
    entity: 'callback',
    row: callback,
    event: 'callback.rejected',
    patch: { is_believed: false, ...learned, reason, due_at: null },
    audit: { channel: callback.channel, reason, detail },
  });
  return done(`rejected_${reason}`);
}

function signatureDetail({ verdict, list }: SignatureJudgement): Record<string, string> {
  return { signatureVerdict: verdict, ...(list === undefined ? {} : { signatureList: list }) };
}
