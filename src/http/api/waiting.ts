import { z } from 'zod';

const waitMsMax = 60_000;

/** The longest wait, as `10s` or `500ms`. */
const wait = z
  .string()
  .regex(/^\d{1,5}(?:ms|s)$/)
  .transform((text) => Number.parseInt(text, 10) * (text.endsWith('ms') ? 1 : 1_000))
  .refine((ms) => ms <= waitMsMax, { error: 'at most 60s' })
  .optional()
  .describe('Wait this long for what `until` names: `500ms`, `10s`, at most `60s`');

const until = z
  .enum(['redirect', 'final'])
  .default('redirect')
  .describe('`redirect`: a redirect url or a final state; `final`: a final state');

/** The query parameters of a route with long polling. */
export const waitParameters = { wait, until } as const;
