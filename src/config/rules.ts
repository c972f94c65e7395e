import type { SoundEnvironment } from './environment-schema.ts';
import type { VariableName } from './variables.ts';
import type { LoadOptions } from './load-options.ts';

/** Variables that only make sense together: some of them without the others is a fault. */
const sets: readonly (readonly VariableName[])[] = [
  ['OCEANPAYMENT_ACCOUNT', 'OCEANPAYMENT_TERMINAL', 'OCEANPAYMENT_SECURE_CODE'],
  ['OPCARD_APP_KEY', 'OPCARD_APP_SECRET'],
  ['OPCCOUNT_NO', 'OPCCOUNT_VA_CODE', 'OPCCOUNT_PRIVATE_KEY'],
  ['CONSOLE_USER', 'CONSOLE_PASSWORD_HASH'],
];

/**
 * Rules that look at more than one variable; each broken one as `NAME: what to change`. Variables that have a fault of their
 * own are in `present` and missing from `env`, so that no rule is broken on their account.
 */
export function rulesBroken(
  env: SoundEnvironment,
  present: ReadonlySet<string>,
  { isKeyless = false }: LoadOptions,
): readonly string[] {
  const faults = sets.flatMap((set) => {
    const missing = set.filter((name) => !present.has(name));
    return missing.length === 0 || missing.length === set.length
      ? []
      : missing.map((name) => `${name}: set it too, or none of ${set.join(', ')}`);
  });
  if (env.QUEUE_BACKEND === 'redis' && !present.has('REDIS_URL')) {
    faults.push('REDIS_URL: set it, or QUEUE_BACKEND=postgres');
  }
  if (!present.has('DATABASE_URL') && env.NODE_ENV === 'production') {
    faults.push('DATABASE_URL: set it; the embedded database is not for production');
  }
  if (!present.has('ENCRYPTION_KEYS') && !isKeyless) {
    faults.push('ENCRYPTION_KEYS: set it; "token-worker keys generate" prints a key');
  }
  if ((env.ACCESS_TOKEN_SKEW_MS ?? 0) >= (env.ACCESS_TOKEN_TTL_MS ?? Infinity)) {
    faults.push('ACCESS_TOKEN_SKEW_MS: make it smaller than ACCESS_TOKEN_TTL_MS');
  }
  for (const channel of ['REDIRECT', 'NOTIFY'] as const) {
    if (
      env[`${channel}_SIGNATURE_MODE`] === 'verify' &&
      !present.has(`${channel}_SIGNATURE_FIELDS`)
    ) {
      faults.push(`${channel}_SIGNATURE_FIELDS: set it; mode verify needs the ordered field list`);
    }
  }
  const notifyMode = env.NOTIFY_SIGNATURE_MODE ?? 'verify';
  if (env.CONFIRM_POLICY === 'signed' && notifyMode !== 'verify') {
    faults.push('NOTIFY_SIGNATURE_MODE: set it to verify, or leave CONFIRM_POLICY at query');
  }
  if (present.has('MERCHANT_WEBHOOK_URL') && !present.has('MERCHANT_WEBHOOK_SECRETS')) {
    faults.push('MERCHANT_WEBHOOK_SECRETS: set it; events are not sent unsigned');
  }
  const webhook = env.MERCHANT_WEBHOOK_URL;
  if (webhook?.startsWith('http:') === true && env.MERCHANT_WEBHOOK_ALLOW_PRIVATE !== true) {
    faults.push('MERCHANT_WEBHOOK_URL: give an https URL, or set MERCHANT_WEBHOOK_ALLOW_PRIVATE');
  }
  return faults;
}
