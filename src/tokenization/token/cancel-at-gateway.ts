import type { TokenizationRow } from '../../db/rows.ts';
import { firstExpiryCheck } from '../../domain/expiry-watch.ts';
import type { CancelReply } from '../../gateway/client.ts';
import { queryToken } from '../query-gateway.ts';
import { done, type JobContext, type Outcome } from '../../execution/define-job.ts';
import { getAccountOf } from '../../account/accounts.ts';
import type { Answer } from '../../gateway/answer.ts';
import { openQuickpayId } from '../row.ts';

/** The changes that end or postpone the disabling of a token. */
export const disablingEvents = [
  'token.disabled',
  'token.disable_refused',
  'reconcile.pending',
  'reconcile.exhausted',
] as const;

const notQueried: Answer = { says: 'unknown', isOtherToken: false, word: 'not_queried' };

type DisablingContext = JobContext<(typeof disablingEvents)[number]>;

/**
 * Cancels a token at the gateway, then queries its status. A second cancellation does no harm, so
 * after a lost reply the schedule repeats both calls.
 *
 * An accepted cancellation counts even when the query still calls the token usable, as it does in
 * the gateway's own sample. The audit row has both raw statuses.
 */
export async function cancelTokenAtGateway(
  row: TokenizationRow,
  context: DisablingContext,
): Promise<Outcome> {
  const quickpayId = openQuickpayId(context.keyring, row);
  if (quickpayId === undefined) return done('no_token');
  const account = await getAccountOf(context, row);
  const call = { signal: context.signal, subject: row.id };
  const reply = await context.gateway.cancelQuickPay(account, quickpayId, call);
  const isConfirmed = reply.kind === 'done' && context.settings.cancelConfirm === 'none';
  const answer = isConfirmed
    ? notQueried
    : await queryToken(row, { by: 'quickpayId', value: quickpayId }, context);
  // The answer `none` proves nothing: every unknown code reads like that, also the one of a busy
  // gateway.
  const isUnusable = answer.says === 'failure';
  if (reply.kind === 'done' || isUnusable) return await recordDisabled(row, reply, answer, context);
  if (reply.kind === 'refused' && answer.says === 'success') {
    return await recordRefusal(row, reply.gatewayCode, context);
  }
  return await scheduleNextCancel(row, reply, answer, context);
}

async function recordDisabled(
  row: TokenizationRow,
  reply: CancelReply,
  answer: Answer,
  context: DisablingContext,
): Promise<Outcome> {
  const cancelStatus = reply.kind === 'done' ? reply.rawStatus : reply.kind;
  const queryStatus = answer.record?.rawStatus ?? answer.word;
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'token.disabled',
    patch: { reconcile_at: null, lease_until: null },
    audit: {
      channel: 'query',
      reason: reply.kind === 'done' ? 'cancelled' : 'not_usable',
      detail: { cancelStatus, rawStatus: queryStatus },
    },
  });
  return done('disabled');
}

/** The token stays usable, and an operator has to find out why the gateway refuses to cancel it. */
async function recordRefusal(
  row: TokenizationRow,
  gatewayCode: string,
  context: DisablingContext,
): Promise<Outcome> {
  const nextCheckAt =
    row.expires_at === null ? null : firstExpiryCheck(row.expires_at).toISOString();
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'token.disable_refused',
    patch: {
      review: 'disable_refused',
      reconcile_step: 0,
      reconcile_at: nextCheckAt,
      lease_until: null,
    },
    audit: { channel: 'query', reason: 'refused', gatewayCode },
  });
  return done('disable_refused');
}

async function scheduleNextCancel(
  row: TokenizationRow,
  reply: CancelReply,
  answer: Answer,
  context: DisablingContext,
): Promise<Outcome> {
  const waitMs = context.settings.reconcileScheduleMs[row.reconcile_step];
  const isOver = waitMs === undefined;
  const cancelStatus = reply.kind === 'unknown' ? reply.cause : reply.kind;
  await context.apply({
    entity: 'tokenization',
    row,
    event: isOver ? 'reconcile.exhausted' : 'reconcile.pending',
    patch: isOver
      ? { reconcile_at: null, review: 'reconcile_exhausted' }
      : { reconcile_step: row.reconcile_step + 1, reconcile_at_in_ms: waitMs },
    audit: {
      channel: 'query',
      detail: { cancelStatus, query: answer.word, reconcileStep: row.reconcile_step + 1 },
    },
  });
  return done(isOver ? 'schedule_over' : 'rescheduled');
}
