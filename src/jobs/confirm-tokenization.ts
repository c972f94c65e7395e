import { databaseNow } from '../db/database.ts';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { tokenizationIdPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { isOpen } from '../domain/tokenization.ts';
import type { QueryReply, QuickPayRecord } from '../gateway/client.ts';
import { requestJob } from './accept-tokenization.ts';
import { activation, isSameQuickpayId } from './activation.ts';
import { defineJob, done, type JobContext, type Outcome } from './define-job.ts';
import { getAccountOf } from './gateway-accounts.ts';

/**
 * `tokenization.confirm` asks the gateway what became of a tokenization, by the reference that we chose.
 *
 * The answer over our own TLS connection outranks whatever came through a browser or a push. An answer that settles
 * nothing schedules the next query; silence is never read as a result.
 */
export const confirmTokenization = defineJob({
  name: 'tokenization.confirm',
  queue: 'reconciliation',
  payload: tokenizationIdPayload,
  retry: exponential({ attemptsMax: 8, baseMs: 1_000, capMs: 60_000 }),
  timeoutMs: 18_000,
  emits: [
    'tokenization.outcome_unknown',
    'tokenization.located',
    'tokenization.activated',
    'tokenization.failed',
    'tokenization.expired',
    'tokenization.resubmitted',
    'reconcile.pending',
    'reconcile.exhausted',
    'conflict.failed_after_success',
  ],
  async run({ tokenizationId }, jobContext) {
    const context = { ...jobContext, now: await databaseNow(jobContext.db) };
    const row = await findTokenization(context.db, tokenizationId);
    if (row === undefined) return done('tokenization_gone');
    if (row.state === 'submitting') return await giveUpLease(row, context);
    if (row.state === 'requested') return done('not_submitted_yet');
    if (!isOpen(row.state) && row.state !== 'expired' && row.state !== 'failed') {
      return done('already_settled');
    }
    const account = await getAccountOf(context, row.credential_id);
    const reply = await context.gateway.queryQuickPay(
      account,
      { by: 'merchantReferenceId', value: row.gateway_reference },
      { signal: context.signal },
    );
    return await recordAnswer(row, reply, context);
  },
});

/** Instants in the row are the database's, so they are compared with its clock. */
type Context = { readonly now: Date } & JobContext<
  | 'tokenization.outcome_unknown'
  | 'tokenization.located'
  | 'tokenization.activated'
  | 'tokenization.failed'
  | 'tokenization.expired'
  | 'tokenization.resubmitted'
  | 'reconcile.pending'
  | 'reconcile.exhausted'
  | 'conflict.failed_after_success'
>;

/** An intent whose lease ran out: whoever held it is gone, and what the gateway did is unknown. */
async function giveUpLease(row: TokenizationRow, context: Context): Promise<Outcome> {
  if (row.lease_until !== null && row.lease_until > context.now) {
    return done('still_leased');
  }
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.outcome_unknown',
    patch: { lease_until: null, reconcile_step: 0, reconcile_at_in_ms: 0 },
    audit: { reason: 'lease_over', detail: { cause: 'lease_over' } },
  });
  return done('submit_unknown');
}

async function recordAnswer(
  row: TokenizationRow,
  reply: QueryReply,
  context: Context,
): Promise<Outcome> {
  switch (reply.kind) {
    case 'unknown':
      return await lookAgain(row, reply.cause, context);
    case 'none':
      return await recordNone(row, reply.gatewayCode, context);
    case 'found': {
      const record = recordOf(row, reply.records);
      if (record === undefined) return await recordNone(row, undefined, context);
      return await recordFound(row, record, context);
    }
  }
}

/** An answer may list several tokens of one reference; a usable one settles the matter. */
function recordOf(
  row: TokenizationRow,
  records: readonly QuickPayRecord[],
): QuickPayRecord | undefined {
  const ours = records.filter(
    (record) =>
      record.merchantReferenceId === undefined ||
      record.merchantReferenceId === row.gateway_reference,
  );
  return ours.find((record) => record.status === 'active') ?? ours[0];
}

async function recordFound(
  row: TokenizationRow,
  record: QuickPayRecord,
  context: Context,
): Promise<Outcome> {
  if (record.status === 'active' && record.quickpayId !== undefined) {
    return await activate(row, { ...record, quickpayId: record.quickpayId }, context);
  }
  if (record.status === 'failed' && isOpen(row.state)) {
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.failed',
      patch: { lease_until: null, reconcile_at: null },
      audit: { channel: 'query', reason: 'status', detail: { rawStatus: record.rawStatus } },
    });
    return done('failed');
  }
  if (row.state === 'submit_unknown' && record.status === 'pending') {
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.located',
      patch: {
        order_reference_id: record.orderReferenceId ?? row.order_reference_id,
        deadline_at_in_ms: context.settings.awaitingCustomerDeadlineMs,
        none_count: 0,
        reconcile_step: 0,
        reconcile_at_in_ms: context.settings.reconcileScheduleMs[0] ?? 0,
      },
      audit: { channel: 'query', detail: { rawStatus: record.rawStatus } },
    });
    return done('located');
  }
  return await lookAgain(row, record.status, context);
}

/** The id in the answer wins over the one in the evidence, which ranks lower; that they differ is for a person to see. */
async function activate(
  row: TokenizationRow,
  record: QuickPayRecord & { quickpayId: NonNullable<QuickPayRecord['quickpayId']> },
  context: Context,
): Promise<Outcome> {
  const { patch } = activation(context, row, record);
  const isExpected =
    row.evidence_index === null ||
    isSameQuickpayId(context.keyring, record.quickpayId, row.evidence_index);
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.activated',
    patch: isExpected ? patch : { ...patch, review: 'evidence_id_differs' },
    audit: {
      channel: 'query',
      detail: {
        rawStatus: record.rawStatus,
        isLate: row.state === 'expired' || row.state === 'failed',
        ...(row.state === 'failed' ? { supersedes: 'failed' } : {}),
      },
    },
  });
  return done('active');
}

/**
 * The gateway does not know the reference. For a request that may have been lost, two such answers, far enough apart
 * for a late record to appear, are what the policy needs to send it again.
 */
async function recordNone(
  row: TokenizationRow,
  gatewayCode: string | undefined,
  context: Context,
): Promise<Outcome> {
  const { settings } = context;
  if (row.state !== 'submit_unknown') return await lookAgain(row, 'none', context, gatewayCode);
  const lastNoneMs = row.none_at?.getTime() ?? Number.NEGATIVE_INFINITY;
  const isSpaced = context.now.getTime() - lastNoneMs >= settings.noneSpacingMs;
  if (row.none_count === 0 || !isSpaced) {
    const isFirst = row.none_count === 0;
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'reconcile.pending',
      patch: {
        ...(isFirst ? { none_count: 1, none_at_in_ms: 0 } : {}),
        reconcile_at_in_ms: settings.noneSpacingMs,
      },
      audit: { channel: 'query', gatewayCode, detail: { query: 'none' } },
    });
    return done('none_once');
  }
  return await resubmit(row, gatewayCode, context);
}

async function resubmit(
  row: TokenizationRow,
  gatewayCode: string | undefined,
  context: Context,
): Promise<Outcome> {
  const { resubmitPolicy } = context.settings;
  if (resubmitPolicy === 'manual') {
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'reconcile.exhausted',
      patch: { reconcile_at: null, review: 'lost_request' },
      audit: { channel: 'query', gatewayCode, detail: { query: 'none', resubmitPolicy } },
    });
    return done('left_to_operator');
  }
  const isRenamed = resubmitPolicy === 'new-reference';
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.resubmitted',
    patch: {
      gateway_reference: isRenamed
        ? nextReference(row.merchant_reference_id, row.attempt + 1)
        : row.gateway_reference,
      abandoned_references: isRenamed
        ? [...row.abandoned_references, row.gateway_reference]
        : row.abandoned_references,
      none_count: 0,
      none_at: null,
      reconcile_step: 0,
      reconcile_at_in_ms: context.settings.leaseMs,
    },
    audit: {
      channel: 'query',
      gatewayCode,
      reason: 'abandoned_ambiguous',
      detail: { query: 'none', resubmitPolicy },
    },
    jobs: [requestJob(row.id, row.version + 1)],
  });
  return done('resubmitted');
}

/** The merchant's reference with the attempt behind it, within the gateway's 50 characters. */
function nextReference(merchantReferenceId: string, attempt: number): string {
  const suffix = `~${attempt}`;
  return merchantReferenceId.slice(0, 50 - suffix.length) + suffix;
}

/** Nothing settled: expire what is past its deadline, otherwise take the next step of the schedule. */
async function lookAgain(
  row: TokenizationRow,
  query: string,
  context: Context,
  gatewayCode?: string,
): Promise<Outcome> {
  const isAnswer = query === 'none' || query === 'pending';
  const isOver = row.deadline_at !== null && row.deadline_at <= context.now;
  const canExpire = row.state === 'awaiting_customer' || row.state === 'confirming';
  const step = row.reconcile_step + 1;
  const nextMs = nextLookMs(row, step, context);
  const next = nextMs === undefined ? { reconcile_at: null } : { reconcile_at_in_ms: nextMs };
  const audit = { channel: 'query', gatewayCode, detail: { query, reconcileStep: step } } as const;
  if (isAnswer && isOver && canExpire) {
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'tokenization.expired',
      patch: { lease_until: null, reconcile_step: step, ...next },
      audit: { ...audit, reason: 'deadline' },
    });
    return done('expired');
  }
  if (nextMs === undefined) {
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'reconcile.exhausted',
      // A result that is still owed is for a person to look at; what has ended has merely stopped being asked about.
      patch: { ...next, ...(isOpen(row.state) ? { review: 'reconcile_exhausted' } : {}) },
      audit,
    });
    return done('schedule_over');
  }
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.pending',
    patch: { reconcile_step: step, ...next },
    audit,
  });
  return done('look_again');
}

/** The wait until the next query: by the schedule, or until the deadline when that comes first or the schedule is over. */
function nextLookMs(
  row: TokenizationRow,
  step: number,
  { now, settings }: Context,
): number | undefined {
  const delayMs = settings.reconcileScheduleMs[step];
  const toDeadlineMs = row.deadline_at === null ? 0 : row.deadline_at.getTime() - now.getTime();
  if (toDeadlineMs <= 0) return delayMs;
  return Math.ceil(Math.min(delayMs ?? toDeadlineMs, toDeadlineMs));
}
