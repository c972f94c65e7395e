import type { RejectionReason } from '../domain/callback.ts';
import type { CallbackMessage } from '../gateway/callback-message.ts';
import { signatureFields } from '../gateway/signature-fields.ts';
import { verifySignature } from '../gateway/signature.ts';
import type { Secret } from '../security/secret.ts';
import type { SignaturePolicy } from '../execution/dependencies.ts';

/** What a message's signature proves under its channel's policy. */
export interface SignatureJudgement {
  readonly verdict: 'verified' | 'mismatch' | 'absent' | 'malformed' | 'off';
  /** The name of the field list that matched. */
  readonly list?: string | undefined;
  /** Set in mode `verify` only, where the signature does not match. */
  readonly rejection?: RejectionReason | undefined;
  /** Whether the signature makes the message rank 2, which only mode `verify` does. */
  readonly isProven: boolean;
}

const rejections = {
  mismatch: 'signature_mismatch',
  absent: 'signature_absent',
  malformed: 'signature_malformed',
} as const satisfies Record<string, RejectionReason>;

/**
 * Checks a signature against every secure code of the account. Mode `observe` only reports which
 * field list matched. Mode `verify` uses the configured list and rejects a message that does not
 * match it.
 */
export function judgeSignature(
  message: CallbackMessage,
  secureCodes: readonly Secret[],
  policy: SignaturePolicy,
): SignatureJudgement {
  if (policy.mode === 'off') return { verdict: 'off', isProven: false };
  const result = verifySignature({
    values: message.raw,
    signature: message.fields.signature,
    candidates: candidatesOf(policy),
    secureCodes,
  });
  if (result.verdict === 'verified') {
    return { verdict: 'verified', list: result.list, isProven: policy.mode === 'verify' };
  }
  const rejection = policy.mode === 'verify' ? rejections[result.verdict] : undefined;
  return { verdict: result.verdict, rejection, isProven: false };
}

/**
 * The gateway does not publish the signed fields of QuickPay messages, so `observe` tries known
 * lists.
 */
function candidatesOf(policy: SignaturePolicy): Readonly<Record<string, readonly string[]>> {
  if (policy.fields !== undefined) return { configured: policy.fields };
  const { Q1, Q2, Q3, c1 } = signatureFields;
  return { Q1, Q2, Q3, c1 };
}
