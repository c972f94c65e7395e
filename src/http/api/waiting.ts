import { z } from 'zod';
import type { ApiDependencies } from './api-route.ts';
import { hasCome } from './tokenization-waiters.ts';

const waitMsMax = 60_000;

/** How long to wait, as `10s` or `500ms`. */
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

/** The parameters of a route that can wait. */
export const waitParameters = { wait, until } as const;

/** Waits until the tokenization of a view has come as far as was asked; returns whether it is worth reading again. */
export async function waitForProgress(
  view: {
    readonly id: string;
    readonly state: Parameters<typeof hasCome>[0]['state'];
    readonly redirectUrl: string | null;
  },
  {
    wait: waitMs,
    until: awaited,
  }: { readonly wait?: number | undefined; readonly until: 'redirect' | 'final' },
  { waiters }: Pick<ApiDependencies, 'waiters'>,
  signal: AbortSignal,
): Promise<boolean> {
  const isThere = hasCome(
    { state: view.state, has_redirect_url: view.redirectUrl !== null },
    awaited,
  );
  if (waitMs === undefined || isThere) return false;
  await waiters.wait(view.id, { until: awaited, waitMs, signal });
  return true;
}
