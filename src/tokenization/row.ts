import type { TokenizationRow } from '../db/rows.ts';
import type { Keyring } from '../security/keyring.ts';
import type { Secret } from '../security/secret.ts';
import type { JobSettings } from '../execution/dependencies.ts';
import { firstLook } from './first-look.ts';
import { firstExpiryLook } from '../domain/expiry-watch.ts';
import { startOfDay } from '../domain/start-of-day.ts';

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
      quickpay_id_sealed: keyring.seal(quickpayPlace(row.id), token.quickpayId.reveal()),
      quickpay_id_index: quickpayIndex(keyring, token.quickpayId),
      order_reference_id: token.orderReferenceId ?? row.order_reference_id,
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt.toISOString() }),
      // What a person had to look at was that there is no result.
      review: null,
      lease_until: null,
      deadline_at: null,
      ...(isEndAsked || isResubmitted(row)
        ? firstLook(settings)
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

/** Where a sealed QuickPay ID belongs. */
export function quickpayPlace(rowId: string): { table: string; column: string; rowId: string } {
  return { table: 'tokenization', column: 'quickpay_id_sealed', rowId };
}

/** The blind index of a QuickPay ID, by which it is found and compared. */
export function quickpayIndex(keyring: Keyring, quickpayId: Secret): string {
  return keyring.blindIndex('quickpay_id', quickpayId.reveal());
}

/** Whether a stored index stands for this QuickPay ID. */
export function isSameQuickpayId(keyring: Keyring, quickpayId: Secret, index: string): boolean {
  return keyring.matchesBlindIndex('quickpay_id', quickpayId.reveal(), index);
}
