import type { HealthReason } from '../domain/health.ts';

/** SQLSTATE of a server that is a replica or read only, and of one without disk or memory. */
const postgresReasons: Readonly<Record<string, HealthReason>> = {
  '25006': 'read_only',
  '53100': 'full',
  '53200': 'full',
};

/** The first words of Redis' error replies. */
const redisReasons: readonly (readonly [RegExp, HealthReason])[] = [
  [/\b(?:READONLY|MASTERDOWN|UNBLOCKED)\b/, 'read_only'],
  [/\b(?:OOM|MISCONF)\b/, 'full'],
  [/\b(?:NOPERM|NOAUTH|WRONGPASS|NOREPLICAS)\b/, 'refused'],
];

/** SQLSTATE classes of a refusal that is no outage: wrong rights, missing tables. */
const refusals = /^(?:42|0A|22|23)[0-9A-Z]{3}$/;

/** Why a store did not take a write. */
export function reasonOfWriteFault(error: unknown): HealthReason {
  if (!(error instanceof Error)) return 'no_answer';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known =
    postgresReasons[code] ??
    redisReasons.find(([word]) => word.test(error.message))?.[1] ??
    (refusals.test(code) ? 'refused' : undefined);
  if (known !== undefined) return known;
  return error.cause === undefined ? 'no_answer' : reasonOfWriteFault(error.cause);
}
