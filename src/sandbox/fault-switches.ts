import { z } from 'zod';
import { AppError } from '../domain/errors.ts';

/** The calls that network faults can strike, as counted in the snapshot. */
export const faultEndpoints = [
  'create',
  'query',
  'cancel',
  'check-account',
  'oauth-create',
  'oauth-refresh',
] as const;

const rate = z.number().min(0).max(1);
const timeMs = z.number().int().min(0).max(86_400_000);
const pushCount = z.number().int().min(0).max(20);
const signatureRule = z.enum(['Q1', 'Q2', 'Q3', 'none', 'wrong']);

/**
 * Every switch of the sandbox. The descriptions are the documentation: the command line and `GET /sandbox/faults` are
 * built on them. Each rate is a share of calls between 0 and 1, drawn from the seed, the call's key (the merchant
 * reference or the application) and the number of that key's call, so other traffic does not change what a key meets.
 */
export const faultSwitchesSchema = z.strictObject({
  latencyMs: timeMs.describe('wait before the effect; it still happens when the caller has gone'),
  errorRate5xx: rate.describe('answer 503 without effect'),
  errorAfterEffectRate: rate.describe('take effect, then answer 502'),
  resetBeforeEffectRate: rate.describe('destroy the connection without effect'),
  resetAfterEffectRate: rate.describe('take effect, then destroy the connection before the reply'),
  hangRate: rate.describe('hold the connection without effect and never answer'),
  hangAfterEffectRate: rate.describe('take effect, then hold the connection and never answer'),
  faultEndpoints: z.array(z.enum(faultEndpoints)).describe('the calls the faults above apply to'),
  faultAttemptsMax: z
    .number()
    .int()
    .min(0)
    .nullable()
    .describe('strike only the first n calls of a key to an endpoint; null: all of them'),

  duplicatePushes: pushCount.describe('further copies of each genuine push'),
  reorderPushes: z
    .boolean()
    .describe('send the pushes of a creation backwards and let creations overtake each other'),
  forgedPushes: pushCount.describe(
    'forged pushes per decision: in turn a wrong signature and two right ones over shifted fields',
  ),
  latePushMs: timeMs.describe('wait before the first push'),
  contradictingPush: z
    .boolean()
    .describe('after the success, push a signed failure; queries still say success'),
  dropPushes: z.boolean().describe('send no genuine push at all'),
  pushFormat: z.enum(['xml', 'json', 'form']).describe('encoding of pushes'),
  pushSignature: signatureRule.describe('signature list of pushes'),
  redirectSignature: signatureRule.describe('signature list of the browser redirect'),

  autoDecisionMs: timeMs.describe('wait before sandbox:approve and sandbox:decline decide'),
  queryVisibilityDelayMs: timeMs.describe('how long a query does not see a creation or a decision'),
  pendingVisible: z.boolean().describe('queries show an undecided creation (-1); off: not found'),
  customerQuery: z
    .enum(['latest', 'array'])
    .describe('what a query by customer answers: the latest token, or an array of all'),
  createIdempotency: z
    .enum(['same-result', 'duplicate-error', 'second-token'])
    .describe('what a second create with the same merchant reference does'),
  cancelStatus: z.enum(['0', '1']).describe('status in the answer to cancel'),
  queryStatusAfterCancel: z.enum(['0', '1']).describe('status that queries show after a cancel'),
  expiryTime: z.iso.date().describe('expiryTime of every token, a date without a zone'),

  refreshRotates: z.boolean().describe('a refresh answers a new refresh token and ends the old'),
  oldRefreshGraceMs: timeMs.describe('how long a rotated refresh token still works'),
  oldAccessTokenDies: z.boolean().describe('a refresh ends the former access tokens at once'),
  createInvalidates: z.boolean().describe('a create ends all former tokens of the application'),
  refreshRejectRate: rate.describe('refuse a refresh although its token is good'),
  createRejectRate: rate.describe('refuse an OAuth create although app key and secret are good'),
  omitExpiresIn: z.boolean().describe('leave the lifetime out of OAuth answers'),
  oauthShape: z
    .enum(['data.access_token', 'data.accessToken', 'access_token'])
    .describe('where OAuth answers hold the tokens'),
  oauthSuccessCode: z.enum(['000', '200']).describe('code of a successful OAuth answer'),
});

/** The state of every switch. */
export type FaultSwitches = Readonly<z.infer<typeof faultSwitchesSchema>>;

/** A gateway that works and, where its documentation is silent, behaves as most of the public code expects. */
export const faultDefaults: FaultSwitches = {
  latencyMs: 0,
  errorRate5xx: 0,
  errorAfterEffectRate: 0,
  resetBeforeEffectRate: 0,
  resetAfterEffectRate: 0,
  hangRate: 0,
  hangAfterEffectRate: 0,
  faultEndpoints: [...faultEndpoints],
  faultAttemptsMax: null,
  duplicatePushes: 0,
  reorderPushes: false,
  forgedPushes: 0,
  latePushMs: 0,
  contradictingPush: false,
  dropPushes: false,
  pushFormat: 'xml',
  pushSignature: 'Q1',
  redirectSignature: 'Q1',
  autoDecisionMs: 25,
  queryVisibilityDelayMs: 0,
  pendingVisible: true,
  customerQuery: 'latest',
  createIdempotency: 'same-result',
  // The vendor's sample shows 1 after a cancel; that it means "accepted" and not "active" is our reading.
  cancelStatus: '1',
  queryStatusAfterCancel: '0',
  expiryTime: '2030-10-01',
  refreshRotates: true,
  oldRefreshGraceMs: 0,
  oldAccessTokenDies: false,
  createInvalidates: false,
  refreshRejectRate: 0,
  createRejectRate: 0,
  omitExpiresIn: false,
  oauthShape: 'data.access_token',
  oauthSuccessCode: '000',
};

/** The switches after a patch. Throws `config_invalid` with the names of unknown or wrong switches. */
export function patchFaults(current: FaultSwitches, patch: object): FaultSwitches {
  const parsed = faultSwitchesSchema.safeParse({ ...current, ...patch });
  if (parsed.success) return parsed.data;
  const paths = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.join('.')],
  );
  throw new AppError('config_invalid', `Wrong sandbox fault switches: ${paths.join(', ')}.`, {
    paths,
  });
}
