import { z } from 'zod';
import { parseOptions as checkOptions } from '../client/input.ts';
import { apiKeyName } from '../domain/api-key.ts';
import { isCallbackBase } from '../domain/callback-url.ts';
import type { BackendSettings } from '../execution/dependencies.ts';
import { encryptionKeyEntries } from '../security/encryption-keys.ts';
import type { DirectClientOptions } from './direct-client-options.ts';

/** The worker's defaults. A test checks that they are equal. */
export const settingsDefault = {
  reconcileScheduleMs: [5_000],
  refusedCallbackMaxAgeMs: 604_800_000,
  accessTokenTtlMs: 3_600_000,
} as const;

const postgresUrl = z.string().regex(/^postgres(?:ql)?:\/\//);

const optionsSchema = z.strictObject({
  databaseUrl: postgresUrl,
  listenDatabaseUrl: postgresUrl.optional(),
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
  callbackPublicUrl: z
    .url({ protocol: /^https?$/, abort: true })
    .refine(isCallbackBase)
    .transform((url) => new URL(url).href)
    .optional(),
  callbackAddresses: z.enum(['per-request', 'shared']).default('per-request'),
  returnUrlHosts: z.array(z.string()).default([]),
  accessTokenTtlMs: z.int().min(1_000).default(settingsDefault.accessTokenTtlMs),
  poolSizeMax: z.int().min(1).default(4),
  onFault: z.custom<(fault: unknown) => void>((value) => typeof value === 'function').optional(),
});

/** Parses the options. Throws `config_invalid` with the names of wrong options, no values. */
export function parseOptions(options: DirectClientOptions) {
  const { callbackPublicUrl, callbackAddresses, returnUrlHosts, accessTokenTtlMs, ...rest } =
    checkOptions(optionsSchema, options);
  const { reconcileScheduleMs, refusedCallbackMaxAgeMs } = settingsDefault;
  const settings: BackendSettings = {
    callbackPublicUrl,
    callbackAddresses,
    returnUrlHosts,
    reconcileScheduleMs,
    refusedCallbackMaxAgeMs,
    accessToken: { ttlMs: accessTokenTtlMs },
  };
  return { ...rest, onFault: rest.onFault ?? (() => undefined), settings };
}
