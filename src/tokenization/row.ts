import type { TokenizationRow } from '../db/rows.ts';
import type { Keyring } from '../security/keyring.ts';
import type { Secret } from '../security/secret.ts';
import type { JobSettings } from '../execution/dependencies.ts';
import { firstExpiryCheck } from '../domain/expiry-watch.ts';
import { expiryInstant } from '../domain/expiry-instant.ts';
import { type TokenizationFacts, reviewReasons } from '../domain/evidence.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/** What is known of a token that became usable. */
export interface ActiveToken {
  readonly quickpayId: Secret;
  readonly orderReferenceId?: string | undefined;
  /** A date without a time, as the query names it. */
  readonly expiryTime?: string | undefined;
  /** Whether the worker still has to query the expiry, because no message or reply names it. */
  readonly needsExpiryQuery?: boolean;
}

/**
 * The columns of a tokenization whose token becomes usable. From then on, only its expiry is
 * checked.
 */
export function activationPatch(
  { keyring, settings }: { keyring: Keyring; settings: JobSettings },
  row: TokenizationRow,
  token: ActiveToken,
): Readonly<Record<string, unknown>> {
  const expiresAt = expiresAtOf(token.expiryTime, settings);
  const { needsExpiryQuery = false } = token;
  return {
    quickpay_id_sealed: keyring.seal(
      sealedPlace('tokenization', 'quickpay_id_sealed', row.id),
      token.quickpayId.reveal(),
    ),
    quickpay_id_index: quickpayIndex(keyring, token.quickpayId),
    order_reference_id: token.orderReferenceId ?? row.order_reference_id,
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt.toISOString() }),
    // A review of a tokenization without a token was about the missing result.
    review: null,
    lease_until: null,
    deadline_at: null,
    ...(needsExpiryQuery || isResubmitted(row)
      ? firstReconcileStep(settings)
      : {
          reconcile_step: 0,
          reconcile_at: expiresAt === undefined ? null : firstExpiryCheck(expiresAt).toISOString(),
        }),
  };
}

/** When a token with this `expiryTime` expires; undefined where that is absent or unreadable. */
export function expiresAtOf(
  expiryTime: string | undefined,
  { expiryZone, expirySafetyMs }: Pick<JobSettings, 'expiryZone' | 'expirySafetyMs'>,
): Date | undefined {
  const instant = expiryTime === undefined ? undefined : expiryInstant(expiryTime, expiryZone);
  return instant && new Date(instant.getTime() - expirySafetyMs);
}

/**
 * Whether the request was sent more than once, so that the gateway may have made more than one
 * token.
 */
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

/** Whether a stored index was made from this QuickPay ID. */
export function isSameQuickpayId(keyring: Keyring, quickpayId: Secret, index: string): boolean {
  return keyring.matchesBlindIndex('quickpay_id', quickpayId.reveal(), index);
}

/**
 * The columns of the query schedule after a failure. The schedule ends, unless the request was sent
 * more than once: a lost attempt may still show a result.
 */
export function reconcileAfterFailure(row: TokenizationRow, settings: JobSettings) {
  return isResubmitted(row) ? firstReconcileStep(settings) : { reconcile_at: null };
}

/**
 * The facts in a row. `now` is the database's clock. Without it no deadline counts as over, which
 * is enough to judge a message.
 */
export function factsOf(row: TokenizationRow, now?: Date): TokenizationFacts {
  return {
    state: row.state,
    isExtendable: row.deadline_at !== null && !row.is_deadline_extended,
    isDeadlineOver: now !== undefined && row.deadline_at !== null && row.deadline_at <= now,
    isFirstQueryScheduled: row.reconcile_at !== null && row.reconcile_step === 0,
    review: reviewReasons.find((reason) => reason === row.review) ?? null,
  };
}

/** The columns that start the query schedule: its first step, from now. */
export function firstReconcileStep({
  reconcileScheduleMs,
}: Pick<JobSettings, 'reconcileScheduleMs'>) {
  return { reconcile_step: 0, reconcile_at_in_ms: reconcileScheduleMs[0] ?? 0 };
}
