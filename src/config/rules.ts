import type { NamesIn, Values } from './variable.ts';
import type { variables } from './variables.ts';

/** The name of a variable. */
type VariableName = NamesIn<typeof variables>;

/**
 * Rules about more than one variable. Returns each broken one as `NAME: what to change`. A variable
 * with a fault of its own is set, reads as undefined, and breaks no rule.
 */
export function brokenRules(
  { nodeEnv, queue, jobs, webhook }: Values<typeof variables, undefined>,
  isSet: (name: VariableName) => boolean,
): readonly string[] {
  const faults: string[] = [];
  if (queue.backend === 'redis' && !isSet('REDIS_URL') && !isSet('REDIS_SENTINELS')) {
    faults.push('REDIS_URL: set it, or QUEUE_BACKEND=postgres');
  }
  if (isSet('REDIS_SENTINELS') && (queue.redis.urls ?? []).length > 1) {
    faults.push('REDIS_URL: give one URL; with REDIS_SENTINELS it names no cluster');
  }
  if (nodeEnv === 'production' && !isSet('DATABASE_URL')) {
    faults.push('DATABASE_URL: set it; the embedded database is not for production');
  }
  const { skewMs = 0, ttlMs = Infinity } = jobs.accessToken;
  if (skewMs >= ttlMs) {
    faults.push('ACCESS_TOKEN_SKEW_MS: make it smaller than ACCESS_TOKEN_TTL_MS');
  }
  const { redirect, notify } = jobs.signatures;
  if (redirect.mode === 'verify' && !isSet('REDIRECT_SIGNATURE_FIELDS')) {
    faults.push('REDIRECT_SIGNATURE_FIELDS: set it; mode verify needs the ordered field list');
  }
  if (notify.mode === 'verify' && !isSet('NOTIFY_SIGNATURE_FIELDS')) {
    faults.push('NOTIFY_SIGNATURE_FIELDS: set it; mode verify needs the ordered field list');
  }
  if (jobs.confirmPolicy === 'signed' && (notify.mode ?? 'verify') !== 'verify') {
    faults.push('NOTIFY_SIGNATURE_MODE: set it to verify, or leave CONFIRM_POLICY at query');
  }
  if (isSet('MERCHANT_WEBHOOK_URL') && !isSet('MERCHANT_WEBHOOK_SECRETS')) {
    faults.push('MERCHANT_WEBHOOK_SECRETS: set it; events are not sent unsigned');
  }
  if (webhook.url?.startsWith('http:') === true && webhook.allowPrivate !== true) {
    faults.push('MERCHANT_WEBHOOK_URL: give an https URL, or set MERCHANT_WEBHOOK_ALLOW_PRIVATE');
  }
  return faults;
}
