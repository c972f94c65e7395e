import { z } from 'zod';
import { TokenClientError } from '../client/client-error.ts';
import { apiKeyName } from '../domain/api-key.ts';
import { pathsOf } from '../domain/payload-paths.ts';
import type { BackendSettings } from '../jobs/job-dependencies.ts';
import { encryptionKeyEntries } from '../security/encryption-keys.ts';
import type { DirectClientOptions } from './direct-client-options.ts';

/** What the worker does with its own defaults; a test compares them. */
export const settingsDefault = {
  reconcileScheduleMs: [5_000],
  refusedCallbackMaxAgeMs: 604_800_000,
  accessTokenTtlMs: 3_600_000,
} as const;

const optionsSchema = z.strictObject({
  databaseUrl: z.string().regex(/^postgres(?:ql)?:\/\//),
  encryptionKeys: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((entry) => entry.trim())
        .filter((entry) => entry !== ''),
    )
    .pipe(encryptionKeyEntries),
  name: apiKeyName,
  callbackPublicUrl: z.url({ protocol: /^https?$/ }).optional(),
  returnUrlHosts: z.array(z.string()).default([]),
  accessTokenTtlMs: z.int().min(1_000).default(settingsDefault.accessTokenTtlMs),
  poolSizeMax: z.int().min(1).default(4),
  onFault: z.custom<(fault: unknown) => void>((value) => typeof value === 'function').optional(),
});

/** Checks options. Throws `config_invalid` with the names of those that are wrong and no values. */
export function parseOptions(options: DirectClientOptions) {
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) {
    const paths = pathsOf(parsed.error.issues);
    throw new TokenClientError(`These options are wrong: ${paths.join(', ')}.`, {
      code: 'config_invalid',
      paths,
      isRetryable: false,
    });
  }
  const { callbackPublicUrl, returnUrlHosts, accessTokenTtlMs, ...rest } = parsed.data;
  const { reconcileScheduleMs, refusedCallbackMaxAgeMs } = settingsDefault;
  const settings: BackendSettings = {
    callbackPublicUrl,
    returnUrlHosts,
    reconcileScheduleMs,
    refusedCallbackMaxAgeMs,
    accessToken: { ttlMs: accessTokenTtlMs },
  };
  return { ...rest, onFault: rest.onFault ?? (() => undefined), settings };
}
