import { databaseNow } from '../../db/connection/database.ts';
import { decideOnContradiction, rankOf } from '../../domain/evidence.ts';
import { factsOf } from '../row.ts';
import { retryWhileUnanswered } from './backoff.ts';
import { querySecondToken } from '../query-gateway.ts';
import {
  done,
  type JobContext,
  type Outcome,
  snooze,
  committed,
} from '../../execution/define-job.ts';
import type { CoalescedAnswer } from '../../gateway/coalesced-queries.ts';
import { queryTokenOfMessage, type UnconfirmedMessage } from './unconfirmed-message.ts';

type ContradictionContext = JobContext<
  'conflict.second_token' | 'conflict.failed_after_success' | 'token.disabled'
>;

/**
 * Queries the gateway about a message that contradicts a usable token, or that names another token
 * after the end of this one, and applies what the answer confirms. A token that the gateway calls
 * unusable is disabled here. A second usable token is flagged for an operator.
 */
export async function verifyContradiction(
  unconfirmed: UnconfirmedMessage,
  context: ContradictionContext,
): Promise<Outcome> {
  const { row, message, receivedAt, audit } = unconfirmed;
  const now = await databaseNow(context.db);
  const shared =
    rankOf(message) < 2 && !message.isSigned
      ? await queryCoalesced(unconfirmed, now, context)
      : { answer: await queryTokenOfMessage(unconfirmed, context) };
  if ('waitMs' in shared) return snooze(shared.waitMs, 'query_rate_limited');
  const { answer } = shared;
  const decision = decideOnContradiction(factsOf(row), message, answer.says);
  if (decision === undefined) {
    return retryWhileUnanswered(context.settings, message, now.getTime() - receivedAt.getTime());
  }
  const detail = { query: answer.word, rawStatus: answer.record?.rawStatus ?? null };
  let current: { readonly id: string; readonly version: number; readonly state: string } = row;
  if (
    decision.event === 'conflict.second_token' ||
    decision.event === 'conflict.failed_after_success'
  ) {
    const outcome = await context.apply({
      entity: 'tokenization',
      row: current,
      event: decision.event,
      // A second usable token is the most urgent review, so no later reason replaces it.
      patch: { review: row.review === 'second_token' ? row.review : (decision.review ?? null) },
      audit: { ...audit, detail },
    });
    if (!outcome.isApplied) return committed(outcome, decision.reason);
    current = { ...current, version: outcome.version };
  }
  if (decision.andThen === 'token.disabled') {
    const outcome = await context.apply({
      entity: 'tokenization',
      row: current,
      event: decision.andThen,
      patch: { reconcile_at: null },
      audit: { ...audit, reason: 'failed_after_success', detail },
    });
    return committed(outcome, decision.reason);
  }
  return done(decision.reason);
}

/**
 * Asks one question for all unverified senders. It is about the tokenization's own references and
 * token, never about an id that the message names, so one answer serves every such message.
 */
async function queryCoalesced(
  unconfirmed: UnconfirmedMessage,
  now: Date,
  context: ContradictionContext,
): Promise<CoalescedAnswer> {
  const { row, message, receivedAt: since } = unconfirmed;
  const isAboutSecond = message.says === 'success';
  const name = `${isAboutSecond ? 'second token' : 'own token'} ${row.id}`;
  return await context.coalescedQueries.ask({ name, since, now }, async () =>
    isAboutSecond
      ? await querySecondToken(row, context)
      : await queryTokenOfMessage(unconfirmed, context),
  );
}
