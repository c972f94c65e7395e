import { z } from 'zod';
import type { EncryptionKey } from './keyring.ts';
import { Secret } from './secret.ts';

/** The entries of `ENCRYPTION_KEYS`, each `id:base64` of 32 bytes. The first key seals. */
export const encryptionKeyEntries = z
  .array(z.string())
  .min(1)
  .refine(
    (entries) => entries.every((entry) => /^[a-z0-9_-]{1,16}:[A-Za-z0-9+/]{43}=$/.test(entry)),
    {
      error: 'give id:base64 of 32 bytes, comma-separated; "token-worker keys generate" prints one',
    },
  )
  .transform((entries) =>
    entries.map((entry): EncryptionKey => {
      const border = entry.indexOf(':');
      return { id: entry.slice(0, border), key: new Secret(entry.slice(border + 1)) };
    }),
  )
  .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, {
    error: 'give each key an id of its own',
  });
