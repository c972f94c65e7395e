import type { JobContext } from '../../execution/define-job.ts';
import type { ReadAccessToken } from '../../db/access-tokens.ts';
import type { RenewalCall } from '../../domain/access-token-renewal.ts';
import type { CredentialRow } from '../../db/rows.ts';
import type { Secret } from '../../security/secret.ts';

/** The changes that a renewal may commit. */
export const renewalEvents = [
  'access_token.lease_lost',
  'access_token.refresh_intent',
  'access_token.refreshed',
  'access_token.refresh_unknown',
  'access_token.refresh_rejected',
  'access_token.issue_intent',
  'access_token.issued',
  'access_token.issue_unknown',
  'access_token.suspended',
  'access_token.candidate_kept',
  'access_token.candidate_adopted',
] as const;

/** What a renewal works with. */
export type RenewalContext = JobContext<(typeof renewalEvents)[number]>;

/** One change of the row whose renewal is under way. */
export type RenewalChange = Omit<Parameters<RenewalContext['apply']>[0], 'entity' | 'row'>;

/** An intent that stands: the row as it was committed, with the call that it is about. */
export interface RenewalIntent {
  readonly row: ReadAccessToken;
  readonly call: RenewalCall;
  /** The credential as it was when the intent was committed: the one to call with. */
  readonly credential: CredentialRow;
  /** To call with where `call` is a refresh. */
  readonly refreshToken: Secret | undefined;
}
