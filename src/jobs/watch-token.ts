import type { TokenizationRow } from '../db/rows.ts';
import { daysLeft, nextExpiryLook } from '../domain/expiry-watch.ts';
import { startOfDay } from '../domain/start-of-day.ts';
import { quickpayPlace } from './activation.ts';
import { ask } from './ask-gateway.ts';
import { done, type JobContext, type Outcome, snooze } from './define-job.ts';

/** The changes that watching an active token may commit. */
export const watchEvents = [
  'token.expiry_learned',
  'token.expiring',
  'token.expired',
  'token.disabled',
  'conflict.failed_after_success',
  'reconcile.pending',
] as const;

type Context = { readonly now: Date } & JobContext<(typeof watchEvents)[number]>;

/** How soon to ask again after no answer. */
const noAnswerDelayMs = 60_000;

/**
 * Looks at an active token when its end is near, or when its end is not known yet. The gateway is asked first: it may have
 * moved the date, or say that the token does not work any more.
 */
export async function watchToken(row: TokenizationRow, context: Context): Promise<Outcome> {
  const isDue = row.reconcile_at !== null && row.reconcile_at <= context.now;
  if (!isDue || row.quickpay_id_sealed === null) return done('already_settled');
  const quickpayId = context.keyring.open(quickpayPlace(row.id), row.quickpay_id_sealed);
  const answer = await ask(row, { by: 'quickpayId', value: quickpayId }, context);
  if (answer.says === 'unknown') return snooze(noAnswerDelayMs, 'no_answer');
  if (answer.says === 'failure') return await disable(row, answer.record?.rawStatus, context);
  const named = answer.record?.expiryTime;
  const learned = named === undefined ? undefined : startOfDay(named, context.settings.expiryZone);
  if (learned !== undefined && learned.getTime() !== row.expires_at?.getTime()) {
    return await learnExpiry(row, learned, context);
  }
  if (row.expires_at === null) return await stopAsking(row, context);
  return await tell(row, row.expires_at, context);
}

async function tell(row: TokenizationRow, expiresAt: Date, context: Context): Promise<Outcome> {
  const next = nextExpiryLook(expiresAt, context.now);
  const isOver = next === undefined;
  await context.apply({
    entity: 'tokenization',
    row,
    event: isOver ? 'token.expired' : 'token.expiring',
    patch: { reconcile_at: next?.toISOString() ?? null },
    audit: {
      detail: { daysLeft: daysLeft(expiresAt, context.now), expiresAt: expiresAt.toISOString() },
    },
  });
  return done(isOver ? 'token_expired' : 'expiring');
}

async function learnExpiry(
  row: TokenizationRow,
  expiresAt: Date,
  context: Context,
): Promise<Outcome> {
  const next = nextExpiryLook(expiresAt, context.now);
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'token.expiry_learned',
    patch: {
      expires_at: expiresAt.toISOString(),
      // Past its end already: due at once, and then it is told as expired.
      reconcile_at: (next ?? expiresAt).toISOString(),
    },
    audit: { channel: 'query', detail: { expiresAt: expiresAt.toISOString() } },
  });
  return done('expiry_learned');
}

/** The gateway names no end, so there is none to watch. */
async function stopAsking(row: TokenizationRow, context: Context): Promise<Outcome> {
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.pending',
    patch: { reconcile_at: null },
    audit: { channel: 'query', detail: { query: 'no_expiry' } },
  });
  return done('no_expiry');
}

async function disable(
  row: TokenizationRow,
  rawStatus: string | undefined,
  context: Context,
): Promise<Outcome> {
  const detail = { rawStatus: rawStatus ?? null };
  const flagged = await context.apply({
    entity: 'tokenization',
    row,
    event: 'conflict.failed_after_success',
    patch: { review: row.review ?? 'failed_after_success' },
    audit: { channel: 'query', detail },
  });
  if (!flagged.isApplied) return done('overtaken');
  await context.apply({
    entity: 'tokenization',
    row: { ...row, version: flagged.version },
    event: 'token.disabled',
    patch: { reconcile_at: null },
    audit: { channel: 'query', reason: 'failed_after_success', detail },
  });
  return done('disabled');
}
