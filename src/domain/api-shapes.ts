import { z } from 'zod';
import { credentialEnvironments } from './credential.ts';
import { errorCodes } from './errors.ts';
import { reviewReasons } from './evidence.ts';
import {
  merchantReferenceId,
  rawCallbackPayload,
  text,
  tokenizationRequestPayload,
} from './job-payloads.ts';
import { tokenizationStates } from './tokenization.ts';

/**
 * What the HTTP API takes and answers. Server, client and OpenAPI document are made from these
 * schemas.
 */

const instant = z.iso.datetime().describe('An instant in UTC, RFC 3339');
const v = z.literal(1).default(1).describe('Version of the payload');

/**
 * A request for a QuickPay ID: the payload of `tokenization.request`, whose version may be left
 * out.
 */
export const tokenizationRequestBody = tokenizationRequestPayload.extend({ v });

/** A message of the gateway that a backend received itself, as it came. */
export const rawCallbackBody = rawCallbackPayload.extend({ v });

/** A tokenization as the API shows it. It holds no billing data and no QuickPay ID. */
export const tokenizationView = z.object({
  id: z.uuid(),
  state: z.enum(tokenizationStates),
  version: z.int().min(1).describe('Counts the changes; the `sequence` of webhook events'),
  review: z.enum(reviewReasons).nullable().describe('Why a person has to look'),
  merchantReferenceId: z.string(),
  orderReferenceId: z.string().nullable().describe("The gateway's own reference"),
  redirectUrl: z.string().nullable().describe('Where the customer has to be sent'),
  credential: z.string(),
  methods: z.string(),
  customerId: z.string().nullable().describe('Null when the sealed request can not be opened'),
  createdAt: instant,
  updatedAt: instant,
  expiresAt: instant.nullable().describe('When the token ends, as far as the gateway has said'),
});

/** A tokenization as the API shows it. */
export type TokenizationView = z.infer<typeof tokenizationView>;

/** The cursor of the next page; null on the last one. */
const nextCursor = z.string().nullable().describe('Pass it as `cursor`; null on the last page');

/** A page of tokenizations, newest first. */
export const tokenizationPage = z.object({ items: z.array(tokenizationView), nextCursor });

/** A page of tokenizations. */
export type TokenizationPage = z.infer<typeof tokenizationPage>;

/** One audit row. */
export const timelineEvent = z.object({
  id: z.string(),
  occurredAt: instant,
  entityType: z.string().describe('`tokenization`, or `callback` for a message about it'),
  entityId: z.uuid(),
  version: z.int().min(1),
  event: z.string(),
  from: z.string().nullable(),
  to: z.string(),
  actor: z.object({ type: z.string(), id: z.string() }),
  queue: z.string().nullable(),
  jobId: z.string().nullable(),
  attempt: z.int().min(0).nullable(),
  channel: z.string().nullable(),
  reason: z.string().nullable(),
  gatewayCode: z.string().nullable(),
  traceId: z.string().nullable().describe('The `x-request-id` of the request behind the change'),
  detail: z.record(z.string(), z.unknown()),
});

/** The audit rows of a tokenization and of the messages about it, oldest first. */
export const timeline = z.object({ events: z.array(timelineEvent), nextCursor });

/** The audit rows of a tokenization. */
export type Timeline = z.infer<typeof timeline>;

/** A revealed token. */
export const revealedToken = z.object({ id: z.uuid(), quickpayId: z.string() });

/** The inbox row that stands for a forwarded message. */
export const keptCallback = z.object({
  id: z.uuid(),
  isDuplicate: z.boolean().describe('The same message was in the inbox before'),
});

/** A job that could not be done. */
export const deadLetterView = z.object({
  id: z.uuid(),
  state: z.enum(['dead', 'redriven']),
  queue: z.string(),
  jobName: z.string(),
  jobId: z.string(),
  code: z.string(),
  paths: z.array(z.string()),
  attempts: z.int().min(0),
  redrives: z.int().min(0),
  createdAt: instant,
});

/** A page of dead letters, oldest first. */
export const deadLetterPage = z.object({ items: z.array(deadLetterView), nextCursor });

/** An OPCard access token that is valid now. */
export const accessTokenView = z.object({
  accessToken: z.string(),
  generation: z.int().min(0),
  issuedAt: instant,
  expiresAt: instant,
  secondsLeft: z.int().min(0),
});

/** An OPCard access token that is valid now. */
export type AccessTokenView = z.infer<typeof accessTokenView>;

/** An OPCCOUNT credential, with which a backend signs its calls. */
export const revealedOpccount = z.object({
  environment: z.enum(credentialEnvironments),
  number: z.string().describe('Header `Opccount-No`, as the operator stored it'),
  vaCode: z.string().describe('Header `Va-Code`: 19 digits, too many for a JSON number'),
  privateKey: z.string().describe('Signs the header `Sign`'),
});

/** An OPCCOUNT credential, with which a backend signs its calls. */
export type OpccountCredential = z.infer<typeof revealedOpccount>;

/** The report of a 401 that an access token met: which generation of it. */
export const invalidAccessTokenBody = z.strictObject({ generation: z.int().min(0) });

/**
 * An RFC 9457 problem: every answer of the API that is none. It holds codes and paths, never a
 * value of the request.
 */
export const problem = z.object({
  type: z.string().describe('`urn:token-lifecycle:problem:` and the code'),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  code: z.enum(errorCodes),
  paths: z.array(z.string()).describe('Fields, parameters or headers at fault; `*` for a stranger'),
  isRetryable: z.boolean().describe('Whether the same request may succeed later'),
  requestId: z.string(),
});

/** An RFC 9457 problem. */
export type Problem = z.infer<typeof problem>;

/** Which tokenizations are looked for; all that is given has to fit. */
export const tokenizationFilter = z.object({
  merchantReferenceId: merchantReferenceId.optional(),
  orderReferenceId: text(50).min(1).optional(),
  quickpayId: text(255).min(1).optional(),
  customerId: text(100).min(1).optional(),
  state: z.enum(tokenizationStates).optional(),
});

/** Which tokenizations are looked for. */
export type TokenizationFilter = z.infer<typeof tokenizationFilter>;
