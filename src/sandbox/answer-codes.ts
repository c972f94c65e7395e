/**
 * Codes and messages of the sandbox's answers. Oceanpayment publishes only `000` with `SUCCESS`,
 * and the message `PARAM_ERROR`. All others are invented: five digits like the gateway's codes, in
 * a range that the gateway does not use.
 */
export const answerCodes = {
  success: { code: '000', message: 'SUCCESS' },
  param: { code: '40000', message: 'PARAM_ERROR' },
  credentials: { code: '40001', message: 'CREDENTIALS_ERROR' },
  refused: { code: '40003', message: 'REFUSED' },
  'not-found': { code: '40004', message: 'NOT_FOUND' },
  declined: { code: '40005', message: 'DECLINED' },
  duplicate: { code: '40009', message: 'DUPLICATE_REFERENCE' },
  'refresh-token': { code: '40011', message: 'REFRESH_TOKEN_INVALID' },
  'access-token': { code: '40012', message: 'ACCESS_TOKEN_INVALID' },
} as const;

/** Why the gateway refuses a call. */
export type RefusalReason = Exclude<keyof typeof answerCodes, 'success'>;

/** A refusal in the documented envelope, with an empty `data`. */
export function refusal(reason: RefusalReason): object {
  return { ...answerCodes[reason], data: {} };
}
