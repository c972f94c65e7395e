import { databaseNow } from '../db/connection/database.ts';
import type { CallbackRow, TokenizationRow } from '../db/rows.ts';
import { findTokenization, findTokenizationByEvidence } from '../db/tokenizations.ts';
import type { MessageEvidence } from '../domain/evidence.ts';
import type { CallbackFields } from '../gateway/callback-message.ts';
import { isOpen } from '../domain/tokenization.ts';
import { done, type JobContext, type Outcome } from '../execution/define-job.ts';
import type { evidenceEvents } from '../tokenization/evidence/apply.ts';
import { retryUntilConfirmed, retryWhileSubmitting } from '../tokenization/evidence/backoff.ts';
import { verifyClaim } from '../tokenization/evidence/verify-claim.ts';
import { verifyContradiction } from '../tokenization/evidence/verify-contradiction.ts';
import type { StoredEnvelope } from './envelope.ts';
import { findTokenizationsNamedIn } from './named-tokenizations.ts';

type QueryContext = JobContext<(typeof evidenceEvents)[number]>;

/** An unreadable message, in which the worker searches for references of tokenizations. */
export interface SearchedMessage {
  readonly envelope: StoredEnvelope;
  /** The fields of the message, if only some of them are unreadable. */
  readonly fields: CallbackFields | undefined;
}

interface RepeatOption {
  /**
   * Whether a query is repeated while a tokenization stays open: the gateway's record may lag
   * behind its message, and the next scheduled query may be a day later.
   */
  readonly isRepeated: boolean;
}

/** What the queries led to: the columns of a verdict, or the wait before the next try. */
export type QueriesOutcome =
  | { readonly kind: 'wait'; readonly outcome: Extract<Outcome, { kind: 'snooze' }> }
  | {
      readonly kind: 'settled';
      /** Undefined when the message names no tokenization. */
      readonly learned?: { readonly is_believed: boolean; readonly tokenization_id: string };
    };

/**
 * Queries the gateway about each tokenization that an unreadable message names. What the message
 * claims is unknown, so the worker assumes the claim that needs a query: a success while there is
 * no token, a failure of the token otherwise. The message decides nothing, and its queries are
 * coalesced with those of all unproven messages.
 */
export async function queryAboutUnreadable(
  callback: CallbackRow,
  { envelope, fields }: SearchedMessage,
  context: QueryContext & RepeatOption,
): Promise<QueriesOutcome> {
  const stored = await findStoredTokenization(callback, context);
  const named = callback.is_addressed
    ? [...stored, ...(await findOtherTokenization(callback, fields, context))]
    : await findTokenizationsNamedIn(context, envelope, fields);
  const before = named.length > 0 ? named : stored;
  const outcomes: Outcome[] = [];
  for (const row of before) outcomes.push(await queryAbout(row, callback, context));
  const [next] = outcomes
    .filter((outcome) => outcome.kind === 'snooze')
    .toSorted((a, b) => a.delayMs - b.delayMs);
  if (next !== undefined) return { kind: 'wait', outcome: next };
  const [first] = before;
  if (first === undefined) return { kind: 'settled' };
  const changes = await Promise.all(before.map(async (row) => await hasChanged(row, context)));
  const changed = before.find((_, at) => changes[at] === true);
  return {
    kind: 'settled',
    learned: { is_believed: changed !== undefined, tokenization_id: (changed ?? first).id },
  };
}

/**
 * The tokenization that the message was addressed to, or that it named when it arrived: an excerpt
 * may have lost the name.
 */
async function findStoredTokenization(
  { tokenization_id: id }: CallbackRow,
  { db }: QueryContext,
): Promise<readonly TokenizationRow[]> {
  const row = id === null ? undefined : await findTokenization(db, id);
  return row === undefined ? [] : [row];
}

/** The processes that logged the warning, by an object that all jobs of a process share. */
const warnedProcesses = new WeakSet<QueryContext['coalescedQueries']>();

/**
 * The tokenization that a message names by its reference, if the message came to the per-request
 * URL of another one. A gateway that reuses the first callback URLs of an account sends all its
 * messages there.
 */
async function findOtherTokenization(
  { channel, tokenization_id: addressedTo }: CallbackRow,
  fields: CallbackFields | undefined,
  { db, logger, coalescedQueries }: QueryContext,
): Promise<readonly TokenizationRow[]> {
  const { account, terminal, merchantReferenceId, orderReferenceId } = fields ?? {};
  if (account === undefined || terminal === undefined) return [];
  const references = { merchantReferenceId, orderReferenceId };
  const other = await findTokenizationByEvidence(db, { account, terminal, ...references });
  if (other === undefined || other.id === addressedTo) return [];
  // A browser could deliver any reference, but only the gateway knows the URL for pushes.
  if (channel === 'notify' && !warnedProcesses.has(coalescedQueries)) {
    warnedProcesses.add(coalescedQueries);
    logger.warn(
      { tokenizationId: other.id, addressedTo },
      "a push about one tokenization arrived at another one's per-request URL: the gateway seems to reuse the first callback URLs of an account; if so, set CALLBACK_ADDRESSES=shared",
    );
  }
  return [other];
}

async function queryAbout(
  row: TokenizationRow,
  callback: CallbackRow,
  context: QueryContext & RepeatOption,
): Promise<Outcome> {
  const now = await databaseNow(context.db);
  const ageMs = now.getTime() - callback.received_at.getTime();
  if (row.state === 'requested' || row.state === 'submitting') return retryWhileSubmitting(ageMs);
  const hasToken = row.quickpay_id_sealed !== null;
  if (hasToken && row.state !== 'active') return done('already_settled');
  const unconfirmed = {
    row,
    message: evidenceOf(callback, hasToken ? 'failure' : 'success'),
    quickpayId: undefined,
    receivedAt: callback.received_at,
    audit: {
      actor: { type: 'gateway', id: callback.channel },
      channel: callback.channel,
      evidenceId: callback.id,
      evidenceDigest: callback.message_digest,
    },
  } as const;
  if (hasToken) return await verifyContradiction(unconfirmed, context);
  const outcome = await verifyClaim(unconfirmed, context);
  if (outcome.kind !== 'done' || !context.isRepeated) return outcome;
  const after = await findTokenization(context.db, row.id);
  return after !== undefined && isOpen(after.state)
    ? retryUntilConfirmed(context.settings, ageMs)
    : outcome;
}

function evidenceOf({ channel }: CallbackRow, says: MessageEvidence['says']): MessageEvidence {
  return {
    channel,
    says,
    isProven: false,
    isSigned: false,
    hasToken: false,
    isOtherToken: false,
    isAbandonedAttempt: false,
  };
}

async function hasChanged(
  { id, version }: TokenizationRow,
  { db }: QueryContext,
): Promise<boolean> {
  return (await findTokenization(db, id))?.version !== version;
}
