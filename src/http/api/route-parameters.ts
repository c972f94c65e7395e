import { z } from 'zod';
import { credentialName } from '../../domain/payload/job-payloads.ts';

/** The path parameters of a route about one tokenization. */
export const tokenizationParameters = z.strictObject({
  id: z.uuid().describe('Id of the tokenization.'),
});

/** The path parameters of a route about one credential. */
export const credentialParameters = z.strictObject({
  credential: credentialName.describe('Name of the credential.'),
});

const waitMsMax = 60_000;

/** The query parameters of a route with long polling. */
export const waitParameters = {
  wait: z
    .string()
    .regex(/^\d{1,5}(?:ms|s)$/)
    .transform((text) => Number.parseInt(text, 10) * (text.endsWith('ms') ? 1 : 1_000))
    .refine((ms) => ms <= waitMsMax, { error: 'at most 60s' })
    .optional()
    .describe(
      'Longest wait for `until`, such as `500ms` or `10s`, at most `60s`; default no wait.',
    ),
  until: z
    .enum(['redirect', 'final'])
    .default('redirect')
    .describe(
      '`redirect` waits for a redirect URL or a final state, `final` for a final state; default `redirect`.',
    ),
} as const;
