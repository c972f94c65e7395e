import { z } from 'zod';
import { AppError } from '../domain/errors.ts';

/** The gateway calls that network faults can hit. The snapshot counts each of them. */
export const gatewayEndpoints = [
  'create',
  'query',
  'cancel',
  'check-account',
  'oauth-create',
  'oauth-refresh',
] as const;

/** One of the gateway calls that network faults can hit. */
export type GatewayEndpoint = (typeof gatewayEndpoints)[number];

const rate = z.number().min(0).max(1);
const timeMs = z.number().int().min(0).max(86_400_000);
const statusWord = z.string().min(1).max(32);
const pushCount = z.number().int().min(0).max(20);
const signatureRule = z.enum(['Q1', 'Q2', 'Q3', 'none', 'wrong']);

/**
 * All fault switches, each documented by its description. A rate from 0 to 1 is the share of calls
 * that the fault hits. Each draw depends only on the seed, the call's key (merchant reference or
 * app key) and the number of calls with that key, so other traffic does not change it.
 */
export const faultSwitchesSchema = z.strictObject({
  latencyMs: timeMs.describe('wait before the effect, which happens even if the caller hangs up'),
  errorRate5xx: rate.describe('answer 503 without effect'),
  errorAfterEffectRate: rate.describe('take effect, then answer 502'),
  resetBeforeEffectRate: rate.describe('destroy the connection without effect'),
  resetAfterEffectRate: rate.describe('take effect, then destroy the connection before the answer'),
  hangRate: rate.describe('hold the connection without effect and never answer'),
  hangAfterEffectRate: rate.describe('take effect, then hold the connection and never answer'),
  faultEndpoints: z.array(z.enum(gatewayEndpoints)).describe('the calls that the faults above hit'),
  faultAttemptsMax: z
    .number()
    .int()
    .min(0)
    .nullable()
    .describe('hit only the first n calls of a key to an endpoint; null: every call'),

  duplicatePushes: pushCount.describe('extra copies of each genuine push'),
  reorderPushes: z
    .boolean()
    .describe('send the pushes of a creation in reverse and let creations overtake each other'),
  forgedPushes: pushCount.describe(
    'forged pushes per decision: in turn a wrong signature and two valid ones over shifted fields',
  ),
  latePushMs: timeMs.describe('wait before the first push'),
  contradictingPush: z
    .boolean()
    .describe('after the success, push a signed failure; queries still answer success'),
  dropPushes: z.boolean().describe('send no genuine push'),
  pushFormat: z.enum(['xml', 'json', 'form', 'multipart']).describe('encoding of pushes'),
  pushSignature: signatureRule.describe('signature list of pushes'),
  redirectSignature: signatureRule.describe('signature list of the browser redirect'),

  autoDecisionMs: timeMs.describe('wait before sandbox:approve and sandbox:decline decide'),
  queryVisibilityDelayMs: timeMs.describe('how long queries miss a new creation or decision'),
  pendingVisible: z
    .boolean()
    .describe('queries show an undecided creation as -1; false: not found'),
  notFoundAnswer: z
    .enum(['empty', 'code'])
    .describe('answer to a query about nothing: a success with empty data, or the code 40004'),
  customerQuery: z
    .enum(['latest', 'array'])
    .describe('answer to a query by customer: the latest token, or an array of all'),
  createIdempotency: z
    .enum(['same-result', 'duplicate-error', 'second-token'])
    .describe('answer to a second create with the same merchant reference'),
  refuseCode: z
    .string()
    .nullable()
    .describe('refuse every create with this code, without effect; null: none'),
  cancelStatus: z.enum(['0', '1']).describe('status in the answer to cancel'),
  queryStatusAfterCancel: z.enum(['0', '1']).describe('status in queries after a cancel'),
  expiryTime: z.string().describe('expiryTime of every token, by default a date without a zone'),
  statusWords: z
    .strictObject({ '1': statusWord, '0': statusWord, '-1': statusWord })
    .describe('the words for usable, failed and pending, in answers, redirects and pushes'),
  replyEnvelope: z
    .enum(['plain', 'bom', 'utf-16', 'gzip', 'data-as-text', 'data-elsewhere', 'unreadable-data'])
    .describe(
      'encoding of the answers of the JSON API; the last two hide `data`, under another name or in a text',
    ),

  refreshRotates: z
    .boolean()
    .describe('a refresh returns a new refresh token and revokes the old one'),
  oldRefreshGraceMs: timeMs.describe('how long a rotated refresh token stays valid'),
  oldAccessTokenDies: z.boolean().describe('a refresh revokes the earlier access tokens at once'),
  createInvalidates: z.boolean().describe('a create revokes all earlier tokens of the application'),
  refreshRejectRate: rate.describe('refuse a refresh although its refresh token is valid'),
  createRejectRate: rate.describe('refuse an OAuth create although app key and secret are valid'),
  omitExpiresIn: z.boolean().describe('omit the token lifetime from OAuth answers'),
  requiredNodes: z
    .array(z.string())
    .describe('nodes without which a create is refused, beside the four that are always required'),
  successCode: z.string().describe('code of a successful answer of the JSON API'),
  acknowledgement: z.string().describe('the body that acknowledges a push'),
  oauthShape: z
    .enum(['data.access_token', 'data.accessToken', 'access_token', 'result.jwt'])
    .describe('where OAuth answers hold the tokens'),
  oauthSuccessCode: z.enum(['000', '200']).describe('code of a successful OAuth answer'),
});

/** The value of every fault switch. */
export type FaultSwitches = Readonly<z.infer<typeof faultSwitchesSchema>>;

/**
 * A healthy gateway. Where Oceanpayment's documentation is silent, it behaves as most public
 * integrations expect.
 */
export const faultDefaults: FaultSwitches = {
  latencyMs: 0,
  errorRate5xx: 0,
  errorAfterEffectRate: 0,
  resetBeforeEffectRate: 0,
  resetAfterEffectRate: 0,
  hangRate: 0,
  hangAfterEffectRate: 0,
  faultEndpoints: [...gatewayEndpoints],
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
  notFoundAnswer: 'empty',
  customerQuery: 'latest',
  createIdempotency: 'same-result',
  refuseCode: null,
  // Oceanpayment's sample answers a cancel with 1; we read it as "accepted", not as "active".
  cancelStatus: '1',
  queryStatusAfterCancel: '0',
  expiryTime: '2030-10-01',
  statusWords: { '1': '1', '0': '0', '-1': '-1' },
  replyEnvelope: 'plain',
  refreshRotates: true,
  oldRefreshGraceMs: 0,
  oldAccessTokenDies: false,
  createInvalidates: false,
  refreshRejectRate: 0,
  createRejectRate: 0,
  omitExpiresIn: false,
  requiredNodes: [],
  successCode: '000',
  acknowledgement: 'receive-ok',
  oauthShape: 'data.access_token',
  oauthSuccessCode: '000',
};

/** Applies a patch. Throws `config_invalid` with the names of unknown and invalid switches. */
export function patchFaults(current: FaultSwitches, patch: object): FaultSwitches {
  const parsed = faultSwitchesSchema.safeParse({ ...current, ...patch });
  if (parsed.success) return parsed.data;
  const paths = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.join('.')],
  );
  throw new AppError(
    'config_invalid',
    `Unknown or invalid sandbox fault switches: ${paths.join(', ')}.`,
    {
      paths,
    },
  );
}
