import { z } from 'zod';
import { credentialEnvironments } from '../credential.ts';
import { errorCodes } from '../errors.ts';
import { reviewReasons } from '../evidence.ts';
import {
  merchantReferenceId,
  rawCallbackPayload,
  storableText,
  tokenizationRequestPayload,
} from './job-payloads.ts';
import { tokenizationStates } from '../tokenization.ts';

// The schemas of the HTTP API. The server, the client and the OpenAPI document share them.

const instant = (description: string) => z.iso.datetime().describe(description);
const v = z.literal(1).default(1).describe('Version of the payload; default 1.');
const tokenizationId = z.uuid().describe('Id of the tokenization.');
const credential = z.string().describe('Name of the credential.');

/** A request for a QuickPay ID: the payload of `tokenization.request` with an optional version. */
export const tokenizationRequestBody = tokenizationRequestPayload.extend({ v });

/** A message of the gateway that a backend received itself, with an optional version. */
export const rawCallbackBody = rawCallbackPayload.extend({ v });

/** A tokenization in the API, without billing data and without the QuickPay ID. */
export const tokenizationView = z.object({
  id: tokenizationId,
  state: z.enum(tokenizationStates).describe('State of the tokenization.'),
  version: z
    .int()
    .min(1)
    .describe('Number of changes so far. Webhook events contain it as `sequence`.'),
  review: z
    .enum(reviewReasons)
    .nullable()
    .describe('Reason why an operator has to review it; null without one.'),
  merchantReferenceId: z.string().describe("Merchant's reference of the request."),
  orderReferenceId: z
    .string()
    .nullable()
    .describe("Gateway's reference of the request; null until the gateway has named it."),
  redirectUrl: z.string().nullable().describe('URL to send the customer to; null without one.'),
  credential,
  methods: z.string().describe("Oceanpayment's name of the payment method."),
  customerId: z
    .string()
    .nullable()
    .describe("Merchant's id of the customer; null if the worker can't open the sealed request."),
  createdAt: instant('Instant at which the tokenization was created.'),
  updatedAt: instant('Instant of the last change.'),
  expiresAt: z.iso
    .datetime()
    .nullable()
    .describe('Instant at which the token expires; null until the gateway has named it.'),
});

/** A tokenization in the API. */
export type TokenizationView = z.infer<typeof tokenizationView>;

const nextCursor = z
  .string()
  .nullable()
  .describe('`cursor` of the next page; null on the last page.');

/** A page of tokenizations, newest first. */
export const tokenizationPage = z.object({
  items: z.array(tokenizationView).describe('Tokenizations of the page, newest first.'),
  nextCursor,
});

/** A page of tokenizations. */
export type TokenizationPage = z.infer<typeof tokenizationPage>;

/** One audit row: a change of a tokenization or of a message about it. */
export const timelineEvent = z.object({
  id: z.string().describe('Number of the audit row.'),
  occurredAt: instant('Instant of the change.'),
  entityType: z.string().describe('`tokenization`, or `callback` for a message about it.'),
  entityId: z.uuid().describe('Id of the changed tokenization or callback.'),
  version: z.int().min(1).describe('Version of the tokenization or callback after the change.'),
  event: z.string().describe('Name of the change, such as `tokenization.activated`.'),
  from: z.string().nullable().describe('State before the change; null for its creation.'),
  to: z.string().describe('State after the change.'),
  actor: z
    .object({
      type: z.string().describe('`worker`, `backend`, `operator` or `gateway`.'),
      id: z.string().describe('Name of the actor, such as the name of an API key.'),
    })
    .describe('The one who caused the change.'),
  queue: z.string().nullable().describe('Queue of the job that made the change; null without one.'),
  jobId: z.string().nullable().describe('Id of that job; null without one.'),
  attempt: z.int().min(0).nullable().describe('Attempt of that job, from 1; null without a job.'),
  channel: z
    .string()
    .nullable()
    .describe('Source of the evidence, such as `notify` or `query`; null without evidence.'),
  reason: z.string().nullable().describe('Reason code of the change; null without one.'),
  gatewayCode: z.string().nullable().describe("Gateway's result code; null without one."),
  traceId: z
    .string()
    .nullable()
    .describe('`x-request-id` of the request that caused the change; null without one.'),
  detail: z
    .record(z.string(), z.unknown())
    .describe('Further facts: counts, instants and codes, never personal data or secrets.'),
});

/** A page of the audit rows of a tokenization and of the messages about it, oldest first. */
export const timeline = z.object({
  events: z.array(timelineEvent).describe('Audit rows of the page, oldest first.'),
  nextCursor,
});

/** A page of audit rows. */
export type Timeline = z.infer<typeof timeline>;

/** A revealed token. */
export const revealedToken = z.object({
  id: tokenizationId,
  quickpayId: z.string().describe('The QuickPay ID. Keep it secret: payments are made with it.'),
});

/** The inbox row of a forwarded message. */
export const keptCallback = z.object({
  id: z.uuid().describe('Id of the inbox row.'),
  isDuplicate: z.boolean().describe('Whether the inbox had the same message already.'),
});

/** A job that failed for good. */
export const deadLetterView = z.object({
  id: z.uuid().describe('Id of the dead letter.'),
  state: z
    .enum(['dead', 'redriven'])
    .describe('`dead` while it waits for an operator, `redriven` after it was enqueued again.'),
  queue: z.string().describe('Queue of the job.'),
  jobName: z.string().describe('Name of the job.'),
  jobId: z.string().describe('Id of the job.'),
  code: z.string().describe('Error code of the last attempt.'),
  paths: z.array(z.string()).describe('Fields of the payload at fault.'),
  attempts: z.int().min(0).describe('Number of failed attempts.'),
  redrives: z.int().min(0).describe('Number of times an operator enqueued it again.'),
  createdAt: instant('Instant at which the job failed for good.'),
});

/** A page of dead letters, oldest first. */
export const deadLetterPage = z.object({
  items: z.array(deadLetterView).describe('Dead letters of the page, oldest first.'),
  nextCursor,
});

/** A valid OPCard access token. */
export const accessTokenView = z.object({
  accessToken: z
    .string()
    .describe(
      'The access token. Keep it secret. Send it as `Authorization: <token>`, without `Bearer`.',
    ),
  generation: z
    .int()
    .min(0)
    .describe('Number of the token among those of its credential. A report of a 401 names it.'),
  issuedAt: instant('Instant at which the gateway issued the token.'),
  expiresAt: instant('Instant at which the token expires.'),
  secondsLeft: z.int().min(0).describe("Seconds until it expires, on the worker's clock."),
});

/** A valid OPCard access token. */
export type AccessTokenView = z.infer<typeof accessTokenView>;

/** An OPCCOUNT credential, with which a backend signs its calls. */
export const revealedOpccount = z.object({
  environment: z
    .enum(credentialEnvironments)
    .describe('Environment of the gateway to which the credential belongs.'),
  number: z.string().describe('Value of the header `Opccount-No`.'),
  vaCode: z
    .string()
    .describe('Value of the header `Va-Code`: 19 digits, too many for a JSON number.'),
  privateKey: z
    .string()
    .describe('Private key for the signature in the header `Sign`. Keep it secret.'),
});

/** An OPCCOUNT credential, with which a backend signs its calls. */
export type OpccountCredential = z.infer<typeof revealedOpccount>;

/** A report that the gateway answered 401 to an access token. */
export const invalidAccessTokenBody = z.strictObject({
  generation: z.int().min(0).describe('Generation of the refused access token.'),
});

/** The answer to a report about an access token. */
export const reportResult = z.object({
  result: z
    .enum(['renewal_brought_forward', 'ignored'])
    .describe('Whether the report started an early renewal or was ignored.'),
});

/** An RFC 9457 problem, the body of every error answer. It never holds a value of the request. */
export const problem = z.object({
  type: z.string().describe('`urn:token-lifecycle:problem:` and the code.'),
  title: z.string().describe('What went wrong, the same text for every problem of this code.'),
  status: z.int().min(400).max(599).describe('HTTP status of the answer.'),
  detail: z.string().describe('What went wrong in this request, or how to correct it.'),
  code: z.enum(errorCodes).describe('Error code, from a closed set.'),
  paths: z
    .array(z.string())
    .describe('Fields, parameters or headers at fault; `*` for an unknown field.'),
  isRetryable: z.boolean().describe('Whether the same request may succeed later.'),
  requestId: z.string().describe("`x-request-id` of the request, as in the worker's log."),
});

/** An RFC 9457 problem. */
export type Problem = z.infer<typeof problem>;

/** The filter of a search. A tokenization has to match every given field. */
export const tokenizationFilter = z.object({
  merchantReferenceId: merchantReferenceId.optional().describe("Merchant's reference."),
  orderReferenceId: storableText(50).min(1).optional().describe("Gateway's reference."),
  quickpayId: storableText(255).min(1).optional().describe('QuickPay ID.'),
  customerId: storableText(100).min(1).optional().describe("Merchant's id of the customer."),
  state: z.enum(tokenizationStates).optional().describe('State of the tokenization.'),
});

/** The filter of a search. */
export type TokenizationFilter = z.infer<typeof tokenizationFilter>;
