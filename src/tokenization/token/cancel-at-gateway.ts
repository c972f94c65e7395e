import type { TokenizationRow } from '../../db/rows.ts';
import { firstExpiryLook } from '../../domain/expiry-watch.ts';
import type { CancelReply } from '../../gateway/client.ts';
import { ask } from '../query-gateway.ts';
import { done, type JobContext, type Outcome } from '../../execution/define-job.ts';
import { getAccountOf } from '../../account/open-account.ts';
import type { Answer } from '../../gateway/answer.ts';
import { openQuickpayId } from '../row.ts';

/** The changes that end, or put off, the disabling of a token. */
export const disablingEvents = [
  'token.disabled',
  'token.disable_refused',
  'reconcile.pending',
  'reconcile.exhausted',
] as const;

type Context = JobContext<(typeof disablingEvents)[number]>;

/**
 * Cancels a token at the gateway, then asks what it says of it. Cancelling again does no harm, so a lost answer is mended by
 * doing all of it once more on the schedule.
 *
 * An accepted cancellation counts even when the query still calls the token usable: the vendor's own sample does. Both raw
 * statuses are kept in the audit row.
 */
export async function finishDisabling(row: TokenizationRow, context: Context): Promise<Outcome> {
  const quickpayId = openQuickpayId(context.keyring, row);
  if (quickpayId === undefined) return done('no_token');
  const account = await getAccountOf(context, row);
  const { signal } = context;
  const reply = await context.gateway.cancelQuickPay(account, quickpayId, { signal });
  const answer = await ask(row, { by: 'quickpayId', value: quickpayId }, context);
  // "Nothing known" is no proof: every unheard-of code reads like that, also the one of a busy gateway.
  const isGone = answer.says === 'failure';
  if (reply.kind === 'done' || isGone) return await settle(row, reply, answer, context);
  if (reply.kind === 'refused' && answer.says === 'success') {
    return await giveBack(row, reply.gatewayCode, context);
  }
  return await tryAgain(row, reply, answer, context);
}

async function settle(
  row: TokenizationRow,
  reply: CancelReply,
  answer: Answer,
  context: Context,
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

/** The gateway refuses and says that the token works: it does, and a person has to find out why it can't be disabled. */
async function giveBack(
  row: TokenizationRow,
  gatewayCode: string,
  context: Context,
): Promise<Outcome> {
  const look = row.expires_at === null ? null : firstExpiryLook(row.expires_at).toISOString();
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'token.disable_refused',
    patch: { review: 'disable_refused', reconcile_step: 0, reconcile_at: look, lease_until: null },
    audit: { channel: 'query', reason: 'refused', gatewayCode },
  });
  return done('disable_refused');
}

async function tryAgain(
  row: TokenizationRow,
  reply: CancelReply,
  answer: Answer,
  context: Context,
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
  return done(isOver ? 'schedule_over' : 'look_again');
}
