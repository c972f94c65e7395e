import { databaseNow } from '../../db/database.ts';
import type { TokenizationRow } from '../../db/rows.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import { decideOnDispute, type MessageEvidence, rankOf } from '../../domain/evidence.ts';
import type { Secret } from '../../security/secret.ts';
import { factsOf, openQuickpayId } from '../row.ts';
import { retryWhileUnanswered } from './backoff.ts';
import { ask, askForSecondToken, referencesOf } from '../query-gateway.ts';
import {
  done,
  type JobContext,
  type Outcome,
  snooze,
  committed,
} from '../../execution/define-job.ts';
import type { CoalescedAnswer } from '../../gateway/coalesced-queries.ts';
import type { Answer } from '../../gateway/answer.ts';

/** A message that contradicts what is believed, so that the gateway is asked about it. */
export interface Contradiction {
  readonly row: TokenizationRow;
  readonly said: MessageEvidence;
  readonly quickpayId: Secret | undefined;
  readonly receivedAt: Date;
  readonly audit: Partial<AuditContext>;
}

type Context = JobContext<
  'conflict.second_token' | 'conflict.failed_after_success' | 'token.disabled'
>;

/**
 * Asks the gateway about a message that contradicts a token that works, or names another one after its end, and does what the
 * answer supports. A token that the gateway calls unusable is disabled here too; a second usable one is for a person to look at.
 */
export async function verifyContradiction(
  dispute: Contradiction,
  context: Context,
): Promise<Outcome> {
  const { row, said, receivedAt, audit } = dispute;
  const now = await databaseNow(context.db);
  const shared =
    rankOf(said) < 2 && !said.isSigned
      ? await askForAll(dispute, now, context)
      : { answer: await askAbout(dispute, context) };
  if ('waitMs' in shared) return snooze(shared.waitMs, 'asked_lately');
  const { answer } = shared;
  const decision = decideOnDispute(factsOf(row), said, answer.says);
  if (decision === undefined) {
    return retryWhileUnanswered(context.settings, said, now.getTime() - receivedAt.getTime());
  }
  const detail = { query: answer.word, rawStatus: answer.record?.rawStatus ?? null };
  let present: { readonly id: string; readonly version: number; readonly state: string } = row;
  if (
    decision.event === 'conflict.second_token' ||
    decision.event === 'conflict.failed_after_success'
  ) {
    const outcome = await context.apply({
      entity: 'tokenization',
      row: present,
      event: decision.event,
      // A second usable token stays what a person has to look at first.
      patch: { review: row.review === 'second_token' ? row.review : (decision.review ?? null) },
      audit: { ...audit, detail },
    });
    if (!outcome.isApplied) return committed(outcome, decision.reason);
    present = { ...present, version: outcome.version };
  }
  if (decision.andThen === 'token.disabled') {
    const outcome = await context.apply({
      entity: 'tokenization',
      row: present,
      event: decision.andThen,
      patch: { reconcile_at: null },
      audit: { ...audit, reason: 'failed_after_success', detail },
    });
    return committed(outcome, decision.reason);
  }
  return done(decision.reason);
}

/** What an unproven message asks is asked about our own references and token, so that one answer serves all such messages. */
async function askForAll(
  dispute: Contradiction,
  now: Date,
  context: Context,
): Promise<CoalescedAnswer> {
  const { row, said, receivedAt: since } = dispute;
  const isAboutSecond = said.says === 'success';
  const name = `${isAboutSecond ? 'second token' : 'own token'} ${row.id}`;
  return await context.coalescedQueries.ask({ name, since, now }, async () =>
    isAboutSecond ? await askForSecondToken(row, context) : await askAbout(dispute, context),
  );
}

/** A second token is looked up by its own id and has to belong to this tokenization; a failure is asked of ours. */
export async function askAbout(
  { row, said, quickpayId }: Contradiction,
  context: Context,
): Promise<Answer> {
  if (said.says === 'success' && quickpayId !== undefined) {
    const answer = await ask(row, { by: 'quickpayId', value: quickpayId }, context);
    const named = answer.record?.merchantReferenceId;
    const isOurs = named === undefined ? said.isSigned : referencesOf(row).includes(named);
    return answer.says === 'success' && !isOurs ? { ...answer, says: 'none' } : answer;
  }
  const own = openQuickpayId(context.keyring, row);
  if (own === undefined) return { says: 'unknown', isOtherToken: false, word: 'no_token' };
  return await ask(row, { by: 'quickpayId', value: own }, context);
}
