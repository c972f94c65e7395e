import type { AnswerEvidence } from '../domain/evidence.ts';
import type { QuickPayRecord, QuickPayLookup } from './client.ts';

/** What the gateway said, as evidence and as it will be recorded. */
export interface Answer extends AnswerEvidence {
  /** The token that the answer is about. */
  readonly record?: QuickPayRecord | undefined;
  /** The answer's status, or why there is none: a word of a closed set. */
  readonly word: string;
  readonly gatewayCode?: string | undefined;
}

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

/** An answer may list several tokens of one reference; a usable one settles the matter. */
export function recordOf(
  lookup: QuickPayLookup,
  records: readonly QuickPayRecord[],
): QuickPayRecord | undefined {
  const ours = records.filter((record) => isAskedFor(lookup, record));
  return ours.find((record) => record.status === 'active') ?? ours[0];
}

export function isAskedFor(lookup: QuickPayLookup, record: QuickPayRecord): boolean {
  if (lookup.by === 'quickpayId') {
    return record.quickpayId === undefined || record.quickpayId.reveal() === lookup.value.reveal();
  }
  if (lookup.by !== 'merchantReferenceId') return true;
  return record.merchantReferenceId === undefined || record.merchantReferenceId === lookup.value;
}
