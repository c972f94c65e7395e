import type { AnswerEvidence } from '../domain/evidence.ts';
import type { QuickPayRecord, QuickPayLookup, UnknownCause } from './replies.ts';

/** The answer to a query, as evidence and as audit rows record it. */
export interface Answer extends AnswerEvidence {
  /** The token that the answer is about. */
  readonly record?: QuickPayRecord | undefined;
  /** A reason code: the token's status, or why there is none. */
  readonly word: string;
  readonly gatewayCode?: string | undefined;
}

/** What a record says about its tokenization. An active token without an id proves nothing. */
export function saysOf({ status, quickpayId }: QuickPayRecord): AnswerEvidence['says'] {
  switch (status) {
    case 'active':
      return quickpayId === undefined ? 'unknown' : 'success';
    case 'failed':
      return 'failure';
    default:
      return status;
  }
}

/** Whether a query whose outcome is unknown for this cause was answered by the gateway. */
const isAnswered: Readonly<Record<string, boolean>> = {
  timeout: false,
  connection: false,
  aborted: false,
  rate_limited: false,
  http_5xx: false,
  http_redirect: false,
  retryable_code: false,
  body_unreadable: true,
  body_too_large: true,
  code_unclear: true,
  reference_mismatch: true,
  redirect_host: true,
} satisfies Record<UnknownCause, boolean>;

/** Whether the gateway answered and the worker can't tell what the answer means. */
export function isUnreadable({ says, word }: Answer): boolean {
  return says === 'unknown' && (isAnswered[word] ?? true);
}

/**
 * The record to judge by. An answer may list several tokens of one reference: a usable one wins.
 */
export function selectRecord(
  lookup: QuickPayLookup,
  records: readonly QuickPayRecord[],
): QuickPayRecord | undefined {
  const matching = records.filter((record) => matchesLookup(lookup, record));
  return matching.find((record) => record.status === 'active') ?? matching[0];
}

/** Whether a record is about the token that the worker asked for. */
export function matchesLookup(lookup: QuickPayLookup, record: QuickPayRecord): boolean {
  if (lookup.by === 'quickpayId') {
    return record.quickpayId === undefined || record.quickpayId.reveal() === lookup.value.reveal();
  }
  if (lookup.by !== 'merchantReferenceId') return true;
  return record.merchantReferenceId === undefined || record.merchantReferenceId === lookup.value;
}
