import type { TokenizationRow } from '../../db/rows.ts';
import { daysLeft, dueNotice, nextExpiryCheck } from '../../domain/expiry-watch.ts';
import { expiresAtOf, isResubmitted, openQuickpayId } from '../row.ts';
import { queryToken, querySecondToken } from '../query-gateway.ts';
import {
  done,
  type JobContext,
  type Outcome,
  snooze,
  committed,
} from '../../execution/define-job.ts';
import type { Answer } from '../../gateway/answer.ts';

/** The changes that watching an active token may commit. */
export const watchEvents = [
  'token.expiry_learned',
  'token.expiring',
  'token.expired',
  'token.disabled',
  'conflict.failed_after_success',
  'conflict.second_token',
  'reconcile.pending',
] as const;

type WatchContext = { readonly now: Date } & JobContext<(typeof watchEvents)[number]>;

/** The wait after a query without an answer. */
const unansweredDelayMs = 60_000;
/**
 * How long past a token's expiry the worker waits for an answer before it marks the token as
 * expired. The gateway may have moved the date.
 */
const expireUnansweredAfterMs = 86_400_000;

/**
 * Checks an active token: when an expiry notice is due, while its expiry is unknown, and, after a
 * resubmission, for a second token whose record may appear late. Each check queries the gateway
 * first, because the expiry may have moved and the token may have become unusable.
 */
export async function watchToken(row: TokenizationRow, context: WatchContext): Promise<Outcome> {
  const isDue = row.reconcile_at !== null && row.reconcile_at <= context.now;
  const quickpayId = isDue ? openQuickpayId(context.keyring, row) : undefined;
  if (quickpayId === undefined) return done('already_settled');
  const answer = await queryToken(row, { by: 'quickpayId', value: quickpayId }, context);
  if (answer.says === 'unknown' && !isLongPastExpiry(row, context.now)) {
    return snooze(unansweredDelayMs, 'no_answer');
  }
  if (answer.says === 'failure')
    return await recordDisabledByGateway(row, answer.record?.rawStatus, context);
  const isSearching = needsSecondTokenSearch(row, context) && !isLongPastExpiry(row, context.now);
  const second = isSearching ? await querySecondToken(row, context) : undefined;
  if (second?.says === 'unknown') return snooze(unansweredDelayMs, 'no_answer');
  const change = nextWatchChange(row, { answer, second }, context);
  const outcome = await context.apply({ entity: 'tokenization', row, ...change });
  return committed(outcome, resultByEvent[change.event]);
}

/** Whether a token's expiry is so long ago that a missing answer no longer keeps it usable. */
function isLongPastExpiry({ expires_at: expiresAt }: TokenizationRow, now: Date): boolean {
  return expiresAt !== null && now.getTime() - expiresAt.getTime() >= expireUnansweredAfterMs;
}

const resultByEvent = {
  'token.expiry_learned': 'expiry_learned',
  'token.expiring': 'expiring',
  'token.expired': 'token_expired',
  'conflict.second_token': 'in_review',
  'reconcile.pending': 'rescheduled',
} as const;

/** After a resubmission, each step of the query schedule looks for a token of the lost attempt. */
function needsSecondTokenSearch(row: TokenizationRow, { settings }: WatchContext): boolean {
  const isScheduled = row.reconcile_step < settings.reconcileScheduleMs.length;
  return isResubmitted(row) && row.review !== 'second_token' && isScheduled;
}

/**
 * The most urgent change. If another change is due too, the next check is due at once and makes it.
 */
function nextWatchChange(
  row: TokenizationRow,
  { answer, second }: { readonly answer: Answer; readonly second: Answer | undefined },
  context: WatchContext,
) {
  const { now } = context;
  const detail = { query: answer.word, rawStatus: answer.record?.rawStatus ?? null };
  if (second?.says === 'success') {
    return {
      event: 'conflict.second_token',
      patch: { review: 'second_token', ...nextCheckPatch(row, answer, context, 'ended') },
      audit: { channel: 'query', detail },
    } as const;
  }
  const learned = expiresAtOf(answer.record?.expiryTime, context.settings);
  if (learned !== undefined && learned.getTime() !== row.expires_at?.getTime()) {
    const known = { ...row, expires_at: learned, expiry_notice_days: null };
    return {
      event: 'token.expiry_learned',
      patch: {
        expires_at: learned.toISOString(),
        expiry_notice_days: null,
        ...nextCheckPatch(known, answer, context),
      },
      audit: { channel: 'query', detail: { expiresAt: learned.toISOString() } },
    } as const;
  }
  if (row.expires_at !== null) {
    const audit = {
      detail: { daysLeft: daysLeft(row.expires_at, now), expiresAt: row.expires_at.toISOString() },
    };
    if (row.expires_at <= now) {
      return { event: 'token.expired', patch: { reconcile_at: null }, audit } as const;
    }
    const notice = dueNotice(row.expires_at, now, row.expiry_notice_days);
    if (notice !== undefined) {
      const notified = { ...row, expiry_notice_days: notice };
      return {
        event: 'token.expiring',
        patch: { expiry_notice_days: notice, ...nextCheckPatch(notified, answer, context) },
        audit,
      } as const;
    }
  }
  return {
    event: 'reconcile.pending',
    patch: nextCheckPatch(row, answer, context),
    audit: { channel: 'query', detail: { ...detail, reconcileStep: row.reconcile_step + 1 } },
  } as const;
}

/**
 * The columns that schedule the next check. The query schedule runs while the worker searches for
 * the expiry or for a second token; the notices and the expiry itself follow from the date. A
 * record without an expiry ends the search for it.
 */
function nextCheckPatch(
  row: TokenizationRow,
  answer: Answer,
  { now, settings }: WatchContext,
  search: 'open' | 'ended' = 'open',
) {
  const isSearching =
    search === 'open' &&
    ((row.expires_at === null && answer.says !== 'success') || isResubmitted(row));
  const step = row.reconcile_step + 1;
  const waitMs = isSearching ? settings.reconcileScheduleMs[step] : undefined;
  const searchAt = waitMs === undefined ? undefined : new Date(now.getTime() + waitMs);
  const expiryAt = row.expires_at === null ? undefined : expiryCheckAt(row, row.expires_at, now);
  const checks = [searchAt, expiryAt].filter((check) => check !== undefined);
  const next = checks.toSorted((a, b) => a.getTime() - b.getTime())[0];
  return {
    reconcile_step: isSearching ? step : settings.reconcileScheduleMs.length,
    reconcile_at: next?.toISOString() ?? null,
  };
}

/** The next check of the expiry: now, where a notice is due or the expiry has passed. */
function expiryCheckAt(row: TokenizationRow, expiresAt: Date, now: Date): Date {
  const notice = dueNotice(expiresAt, now, row.expiry_notice_days);
  return notice === undefined ? (nextExpiryCheck(expiresAt, now) ?? expiresAt) : now;
}

async function recordDisabledByGateway(
  row: TokenizationRow,
  rawStatus: string | undefined,
  context: WatchContext,
): Promise<Outcome> {
  const detail = { rawStatus: rawStatus ?? null };
  let { version } = row;
  // After a crash between the two changes, the row is flagged already.
  if (row.review !== 'failed_after_success') {
    const flagged = await context.apply({
      entity: 'tokenization',
      row,
      event: 'conflict.failed_after_success',
      patch: { review: 'failed_after_success' },
      audit: { channel: 'query', detail },
    });
    if (!flagged.isApplied) return committed(flagged, 'disabled');
    version = flagged.version;
  }
  const outcome = await context.apply({
    entity: 'tokenization',
    row: { ...row, version },
    event: 'token.disabled',
    patch: { reconcile_at: null },
    audit: { channel: 'query', reason: 'failed_after_success', detail },
  });
  return committed(outcome, 'disabled');
}
