import type { TokenizationRow } from '../db/rows.ts';
import type { Keyring } from '../security/keyring.ts';
import type { Secret } from '../security/secret.ts';
import type { JobSettings } from '../execution/dependencies.ts';
import { firstExpiryLook } from '../domain/expiry-watch.ts';
import { startOfDay } from '../domain/start-of-day.ts';
import { type TokenizationFacts, reviewReasons } from '../domain/evidence.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/** What is known of a token that turned out to be usable. */
export interface ActiveToken {
  readonly quickpayId: Secret;
  readonly orderReferenceId?: string | undefined;
  /** A date without a time, as the query names it. */
  readonly expiryTime?: string | undefined;
  /** Whether the gateway has to be asked for the token's end, as only a query names it. */
  readonly isEndAsked?: boolean;
}

/** Columns of a tokenization whose token is usable: the QuickPay ID sealed, nothing left to look at but the token's end. */
export function activation(
  { keyring, settings }: { keyring: Keyring; settings: JobSettings },
  row: TokenizationRow,
  token: ActiveToken,
): { patch: Readonly<Record<string, unknown>> } {
  const expiresAt =
    token.expiryTime === undefined ? undefined : startOfDay(token.expiryTime, settings.expiryZone);
  const { isEndAsked = false } = token;
  return {
    patch: {
      quickpay_id_sealed: keyring.seal(
        sealedPlace('tokenization', 'quickpay_id_sealed', row.id),
        token.quickpayId.reveal(),
      ),
      quickpay_id_index: quickpayIndex(keyring, token.quickpayId),
      order_reference_id: token.orderReferenceId ?? row.order_reference_id,
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt.toISOString() }),
      // What a person had to look at was that there is no result.
      review: null,
      lease_until: null,
      deadline_at: null,
      ...(isEndAsked || isResubmitted(row)
        ? firstReconcileStep(settings)
        : {
            reconcile_step: 0,
            reconcile_at: expiresAt === undefined ? null : firstExpiryLook(expiresAt).toISOString(),
          }),
    },
  };
}

/** Whether the request was sent more than once, so that there may be more than one token. */
export function isResubmitted({ attempt }: TokenizationRow): boolean {
  return attempt > 1;
}

/** Opens the QuickPay ID of a tokenization; undefined while it has none. */
export function openQuickpayId(
  keyring: Keyring,
  { id, quickpay_id_sealed: sealed }: Pick<TokenizationRow, 'id' | 'quickpay_id_sealed'>,
): Secret | undefined {
  return sealed === null
    ? undefined
    : keyring.open(sealedPlace('tokenization', 'quickpay_id_sealed', id), sealed);
}

/** The blind index of a QuickPay ID, by which it is found and compared. */
export function quickpayIndex(keyring: Keyring, quickpayId: Secret): string {
  return keyring.blindIndex('quickpay_id', quickpayId.reveal());
}

/** Whether a stored index stands for this QuickPay ID. */
export function isSameQuickpayId(keyring: Keyring, quickpayId: Secret, index: string): boolean {
  return keyring.matchesBlindIndex('quickpay_id', quickpayId.reveal(), index);
}

/**
 * What is left to ask about after a failure: nothing, unless the request was sent more than once. What became of a lost attempt
 * may show up late.
 */
export function reconcileAfterFailure(row: TokenizationRow, settings: JobSettings) {
  return isResubmitted(row) ? firstReconcileStep(settings) : { reconcile_at: null };
}

/**
 * What a row says is believed. `now` is the database's clock; without it no deadline counts as over, which is all that a
 * message needs.
 */
export function factsOf(row: TokenizationRow, now?: Date): TokenizationFacts {
  return {
    state: row.state,
    isExtendable: row.deadline_at !== null && !row.is_deadline_extended,
    isDeadlineOver: now !== undefined && row.deadline_at !== null && row.deadline_at <= now,
    isAskedSoon: row.reconcile_at !== null && row.reconcile_step === 0,
    review: reviewReasons.find((reason) => reason === row.review) ?? null,
  };
}

/** Columns that begin the schedule of queries: its first step, from now. */
export function firstReconcileStep({
  reconcileScheduleMs,
}: Pick<JobSettings, 'reconcileScheduleMs'>) {
  return { reconcile_step: 0, reconcile_at_in_ms: reconcileScheduleMs[0] ?? 0 };
}
