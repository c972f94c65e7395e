import { z } from 'zod';
import { TokenClientError } from '../client/client-error.ts';
import { apiKeyName } from '../domain/api-key.ts';
import { pathsOf } from '../domain/payload-paths.ts';
import type { BackendSettings } from '../jobs/job-dependencies.ts';
import { encryptionKeyEntries } from '../security/encryption-keys.ts';

/** Where the worker's database is, and what of the worker's configuration its clients share. Times in milliseconds. */
export interface DirectClientOptions {
  /** The worker's `DATABASE_URL`, or another login that may take the role `token_lifecycle_app`. */
  readonly databaseUrl: string;
  /** The worker's `ENCRYPTION_KEYS`. */
  readonly encryptionKeys: string;
  /** Whose calls these are in the audit trail: as the name of an API key, and another one than any of those. */
  readonly name: string;
  /** The worker's `CALLBACK_PUBLIC_URL`, for requests that name no addresses of their own. */
  readonly callbackPublicUrl?: string | undefined;
  /** The worker's `RETURN_URL_HOSTS`; default none. */
  readonly returnUrlHosts?: readonly string[];
  /** The worker's `ACCESS_TOKEN_TTL_MS`, where it is not the default. */
  readonly accessTokenTtlMs?: number;
  /** Connections at most, besides one that listens once an access token was read; default 4. */
  readonly poolSizeMax?: number;
  /**
   * Told of what the errors of calls don't say: their causes, and broken connections, which are made anew. Such a fault may quote
   * what was sent.
   */
  readonly onFault?: (fault: unknown) => void;
}

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
