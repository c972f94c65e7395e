import type { TokenizationRow } from '../../db/rows.ts';
import { daysLeft, dueNotice, nextExpiryLook } from '../../domain/expiry-watch.ts';
import { startOfDay } from '../../domain/start-of-day.ts';
import { isResubmitted, openQuickpayId } from '../row.ts';
import { ask, askForSecondToken } from '../query-gateway.ts';
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

type Context = { readonly now: Date } & JobContext<(typeof watchEvents)[number]>;

/** How soon to ask again after no answer. */
const noAnswerDelayMs = 60_000;
/** The gateway may have moved the date, so it is asked for this long past the last known end before silence counts. */
const silenceAfterEndMs = 86_400_000;

/**
 * Looks at an active token: when a notice of its end is due, while its end is not known yet, and, after its request was sent
 * more than once, for a second token that a record which came late may have brought. The gateway is asked first in each case: it
 * may have moved the date, or say that the token does not work any more.
 */
export async function watchToken(row: TokenizationRow, context: Context): Promise<Outcome> {
  const isDue = row.reconcile_at !== null && row.reconcile_at <= context.now;
  const quickpayId = isDue ? openQuickpayId(context.keyring, row) : undefined;
  if (quickpayId === undefined) return done('already_settled');
  const answer = await ask(row, { by: 'quickpayId', value: quickpayId }, context);
  if (answer.says === 'unknown' && !isLongOver(row, context.now)) {
    return snooze(noAnswerDelayMs, 'no_answer');
  }
  if (answer.says === 'failure') return await disable(row, answer.record?.rawStatus, context);
  const isSought = isSecondSought(row, context) && !isLongOver(row, context.now);
  const second = isSought ? await askForSecondToken(row, context) : undefined;
  if (second?.says === 'unknown') return snooze(noAnswerDelayMs, 'no_answer');
  const change = changeAfter(row, { answer, second }, context);
  const outcome = await context.apply({ entity: 'tokenization', row, ...change });
  return committed(outcome, results[change.event]);
}

/** Whether a token's end has passed for so long that silence does not keep it usable. */
function isLongOver({ expires_at: end }: TokenizationRow, now: Date): boolean {
  return end !== null && now.getTime() - end.getTime() >= silenceAfterEndMs;
}

const results = {
  'token.expiry_learned': 'expiry_learned',
  'token.expiring': 'expiring',
  'token.expired': 'token_expired',
  'conflict.second_token': 'in_review',
  'reconcile.pending': 'look_again',
} as const;

/** Where a lost request was sent again, every step of the schedule looks for what the lost one brought. */
function isSecondSought(row: TokenizationRow, { settings }: Context): boolean {
  const isScheduled = row.reconcile_step < settings.reconcileScheduleMs.length;
  return isResubmitted(row) && row.review !== 'second_token' && isScheduled;
}

/** One change per look; what else is due follows at the next one, which is then due at once. */
function changeAfter(
  row: TokenizationRow,
  { answer, second }: { readonly answer: Answer; readonly second: Answer | undefined },
  context: Context,
) {
  const { now } = context;
  const detail = { query: answer.word, rawStatus: answer.record?.rawStatus ?? null };
  if (second?.says === 'success') {
    return {
      event: 'conflict.second_token',
      patch: { review: 'second_token', ...lookPatch(row, answer, context, 'over') },
      audit: { channel: 'query', detail },
    } as const;
  }
  const named = answer.record?.expiryTime;
  const learned = named === undefined ? undefined : startOfDay(named, context.settings.expiryZone);
  if (learned !== undefined && learned.getTime() !== row.expires_at?.getTime()) {
    const known = { ...row, expires_at: learned, expiry_notice_days: null };
    return {
      event: 'token.expiry_learned',
      patch: {
        expires_at: learned.toISOString(),
        expiry_notice_days: null,
        ...lookPatch(known, answer, context),
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
      const told = { ...row, expiry_notice_days: notice };
      return {
        event: 'token.expiring',
        patch: { expiry_notice_days: notice, ...lookPatch(told, answer, context) },
        audit,
      } as const;
    }
  }
  return {
    event: 'reconcile.pending',
    patch: lookPatch(row, answer, context),
    audit: { channel: 'query', detail: { ...detail, reconcileStep: row.reconcile_step + 1 } },
  } as const;
}

/**
 * When to look next: on the schedule as long as a second token or a record with an end is sought, and whenever the end comes
 * nearer. A record without an end has none to watch.
 */
function lookPatch(
  row: TokenizationRow,
  answer: Answer,
  { now, settings }: Context,
  search: 'on' | 'over' = 'on',
) {
  const isSought =
    search === 'on' &&
    ((row.expires_at === null && answer.says !== 'success') || isResubmitted(row));
  const step = row.reconcile_step + 1;
  const waitMs = isSought ? settings.reconcileScheduleMs[step] : undefined;
  const searchAt = waitMs === undefined ? undefined : new Date(now.getTime() + waitMs);
  const expiryAt = row.expires_at === null ? undefined : expiryLook(row, row.expires_at, now);
  const looks = [searchAt, expiryAt].filter((look) => look !== undefined);
  const next = looks.toSorted((a, b) => a.getTime() - b.getTime())[0];
  return {
    reconcile_step: isSought ? step : settings.reconcileScheduleMs.length,
    reconcile_at: next?.toISOString() ?? null,
  };
}

/** Due at once where a notice is, or the end has passed. */
function expiryLook(row: TokenizationRow, expiresAt: Date, now: Date): Date {
  const notice = dueNotice(expiresAt, now, row.expiry_notice_days);
  return notice === undefined ? (nextExpiryLook(expiresAt, now) ?? expiresAt) : now;
}

async function disable(
  row: TokenizationRow,
  rawStatus: string | undefined,
  context: Context,
): Promise<Outcome> {
  const detail = { rawStatus: rawStatus ?? null };
  let { version } = row;
  // Flagged already where a crash came between the two changes.
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
