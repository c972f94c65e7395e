import type { RejectionReason } from '../domain/callback.ts';
import type { CallbackMessage } from '../gateway/callback-message.ts';
import { signatureFields } from '../gateway/signature-fields.ts';
import { verifySignature } from '../gateway/signature.ts';
import type { Secret } from '../security/secret.ts';
import type { SignaturePolicy } from '../execution/dependencies.ts';

/** What a message's signature is worth under the channel's policy. */
export interface SignatureJudgement {
  readonly verdict: 'verified' | 'mismatch' | 'absent' | 'malformed' | 'off';
  /** The candidate list that matched. */
  readonly list?: string | undefined;
  /** Set only in mode `verify`, when the message must not be believed. */
  readonly rejection?: RejectionReason | undefined;
  /** Whether the signature makes the message rank 2: only where the mode insists on it. */
  readonly isProven: boolean;
}

const rejections = {
  mismatch: 'signature_mismatch',
  absent: 'signature_absent',
  malformed: 'signature_malformed',
} as const satisfies Record<string, RejectionReason>;

/**
 * Judges a signature with every secure code of the account. Mode `observe` only says which list matched; mode `verify`
 * rejects what does not, and needs a configured list before a match proves anything.
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

/** Rules for the QuickPay redirect and push are not published; these are the candidates worth observing. */
function candidatesOf(policy: SignaturePolicy): Readonly<Record<string, readonly string[]>> {
  if (policy.fields !== undefined) return { configured: policy.fields };
  const { Q1, Q2, Q3, c1 } = signatureFields;
  return { Q1, Q2, Q3, c1 };
}
