import { AppError } from '../domain/errors.ts';
import { tokenDisablePayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { cancel, defineJob, done } from '../execution/define-job.ts';
import { disablingPatch, findDisableTarget } from '../tokenization/token/disable.ts';
import { disablingEvents, cancelTokenAtGateway } from '../tokenization/token/cancel-at-gateway.ts';

/**
 * `token.disable` cancels a token at the gateway. Two jobs for one token cancel it once. The query
 * schedule settles an unknown outcome; a new job restarts a schedule that has ended.
 */
export const disableTokenJob = defineJob({
  name: 'token.disable',
  queue: 'tokenization',
  payload: tokenDisablePayload,
  retry: exponential({ attemptsMax: 8, baseMs: 1_000, capMs: 300_000 }),
  timeoutMs: 28_000,
  emits: ['token.disabling', 'reconcile.requested', ...disablingEvents],
  async run(target, context) {
    const row = await findDisableTarget(context, target);
    if (row.state === 'disabled') return done('already_disabled');
    const isUnderWay = row.state === 'disabling' && row.reconcile_at !== null;
    if (isUnderWay) return await cancelTokenAtGateway(row, context);
    if (row.state !== 'active' && row.state !== 'disabling') return cancel('state_forbids');
    const outcome = await context.apply({
      entity: 'tokenization',
      row,
      event: row.state === 'active' ? 'token.disabling' : 'reconcile.requested',
      patch: disablingPatch,
      audit: { actor: { type: 'backend', id: 'queue' } },
    });
    if (!outcome.isApplied)
      throw new AppError(
        'stale_version',
        'Another process changed the token at the same time; the job retries.',
      );
    const taken = {
      ...row,
      version: outcome.version,
      state: 'disabling',
      reconcile_step: 0,
    } as const;
    return await cancelTokenAtGateway(taken, context);
  },
});
