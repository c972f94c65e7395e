import type { JobContext } from '../../execution/define-job.ts';
import type { ReadAccessToken } from '../../db/access-tokens.ts';
import type { CredentialRow } from '../../db/rows.ts';
import type { OpenedCall } from './open-call.ts';

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
  'access_token.late_reply',
] as const;

/** What the steps of a renewal need. */
export type RenewalContext = JobContext<(typeof renewalEvents)[number]>;

/** One change of the row that is being renewed. */
export type RenewalChange = Omit<Parameters<RenewalContext['apply']>[0], 'entity' | 'row'>;

/** A committed intent: the row as it was committed, and the call that it announces. */
export type RenewalIntent = OpenedCall & {
  readonly row: ReadAccessToken;
  /** The credential as it was when the intent was committed. */
  readonly credential: CredentialRow;
};
