import type { HealthReason } from '../domain/health.ts';
import { storeFaultCause } from '../domain/store-fault.ts';

/** What the cause of a store's fault means for a write; a cause without an entry is `no_answer`. */
const reasons: Readonly<Record<string, HealthReason>> = {
  '25006': 'read_only',
  READONLY: 'read_only',
  MASTERDOWN: 'read_only',
  UNBLOCKED: 'read_only',
  '53100': 'full',
  '53200': 'full',
  OOM: 'full',
  MISCONF: 'full',
  NOPERM: 'refused',
  NOAUTH: 'refused',
  WRONGPASS: 'refused',
  NOREPLICAS: 'refused',
};

/** SQLSTATE classes of a refusal that is not an outage: missing rights, missing tables. */
const refusals = /^(?:42|0A|22|23)[0-9A-Z]{3}$/;

/** Why a store did not take a write. */
export function reasonOfWriteFault(error: unknown): HealthReason {
  const cause = storeFaultCause(error);
  const known = cause === undefined ? undefined : reasons[cause];
  return known ?? (isRefusal(error) ? 'refused' : 'no_answer');
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return refusals.test(code) || isRefusal(error.cause);
}
