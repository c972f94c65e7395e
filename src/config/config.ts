import { AppError } from '../domain/errors.ts';
import { findMisspelledVariables } from './misspelled-variables.ts';
import { brokenRules } from './rules.ts';
import { withoutServiceLinks } from './service-links.ts';
import { readValues, type Values } from './variable.ts';
import { variables } from './variables.ts';

/** The configuration of a process, by the part that takes it. Times in milliseconds. */
export interface Config extends ReturnType<typeof completeValues> {}

/** The variables that other software reads in lower case too, with the same meaning. */
const isProxyName = /^(?:HTTPS|NO)_PROXY$/;

/**
 * Reads the environment once. Throws `config_invalid` with all faults, one `NAME: what to change` a
 * line. A fault never shows a value, since it may be a secret in the wrong place.
 *
 * @param isKeyless whether `ENCRYPTION_KEYS` may be missing, for commands that seal nothing
 */
export function loadConfig(
  processEnv: Readonly<Record<string, string | undefined>>,
  { isKeyless = false }: { readonly isKeyless?: boolean } = {},
): Config {
  const env = withoutServiceLinks(processEnv);
  const textOf = (name: string): string | undefined =>
    env[name]?.trim() || (isProxyName.test(name) && env[name.toLowerCase()]?.trim()) || undefined;
  const faults: string[] = [];
  const values = readValues(variables, textOf, faults);
  faults.push(...brokenRules(values, (name) => textOf(name) !== undefined));
  if (!isKeyless && textOf('ENCRYPTION_KEYS') === undefined) {
    faults.push('ENCRYPTION_KEYS: set it; "token-worker keys generate" prints a key');
  }
  faults.push(...findMisspelledVariables(Object.keys(env)));
  if (faults.length > 0) {
    throw new AppError('config_invalid', `Correct the configuration:\n  ${faults.join('\n  ')}`);
  }
  // Without a fault, no value is missing.
  return completeValues(values as Values<typeof variables>);
}

const checkoutUrls = {
  sandbox: 'https://checkout-s.oceanpayment.com',
  production: 'https://checkout.oceanpayment.com',
} as const;

/** An access token is leased for this many times the deadline of its call. */
const callsPerLease = 3;

function isRedisNamed({ urls, sentinels }: Values<typeof variables>['queue']['redis']): boolean {
  return urls.length > 0 || sentinels !== undefined;
}

/** Adds what follows from several variables, and times that no operator has to choose. */
function completeValues({ queue, gateway, jobs, webhook, ...rest }: Values<typeof variables>) {
  const { environment, checkoutUrl, openApiUrl, site } = gateway;
  const { callbackPublicUrl } = jobs;
  const base = checkoutUrls[environment];
  const otherBase = checkoutUrls[environment === 'sandbox' ? 'production' : 'sandbox'];
  return {
    ...rest,
    /** Where events are delivered; undefined: nowhere. */
    webhook: webhook.url === undefined ? undefined : { ...webhook, url: webhook.url },
    queue: {
      ...queue,
      backend: queue.backend ?? (isRedisNamed(queue.redis) ? 'redis' : 'postgres'),
    },
    gateway: {
      ...gateway,
      checkoutUrl: checkoutUrl ?? base,
      openApiUrl: openApiUrl ?? `${base}/open-api/v1`,
      site: site ?? (callbackPublicUrl === undefined ? '' : new URL(callbackPublicUrl).hostname),
      /** Where credentials of the other environment are used. */
      otherPlace: { checkoutUrl: otherBase, openApiUrl: `${otherBase}/open-api/v1` },
    },
    jobs: {
      ...jobs,
      statusMap: gateway.statusMap,
      /** How long an intent may lack a result: longer than the slowest job that writes one. */
      leaseMs: 30_000,
      accessToken: {
        ...jobs.accessToken,
        /** How long one renewal holds its lease. */
        leaseMs: callsPerLease * gateway.timeoutMs,
        callsPerSecondMax: gateway.oauthCallsPerSecondMax,
      },
    },
  };
}
