import { z } from 'zod';
import { payloadVersions } from './payload-versions.ts';

const v = z.literal(1).describe('Version of the payload: 1.');

/**
 * A text of at most `lengthMax` characters that PostgreSQL can store: it stores neither NUL nor
 * unpaired surrogates. Both are in one pattern, since the published JSON Schema shows patterns
 * only. JSON Schema reads a pattern as Unicode, so a pair of surrogates is one other character.
 */
export const storableText = (lengthMax: number) =>
  z
    .string()
    .max(lengthMax)
    // oxlint-disable-next-line no-control-regex
    .regex(/^[^\u0000\ud800-\udfff]*$/u, 'contains NUL or an unpaired surrogate');

const nonEmptyText = (lengthMax: number) => storableText(lengthMax).min(1);

const url = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  // The published JSON Schema shows this pattern, but not `protocol`.
  .regex(/^https?:\/\//);

/**
 * The name of a stored credential. Credentials set by environment variables are named `default`.
 */
export const credentialName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/);

/**
 * A decimal amount as text, not zero, with at most two decimals. It is one pattern, because the
 * published JSON Schema shows patterns only.
 */
const amount = z
  .string()
  .max(10)
  .regex(/^(?=.*[1-9])(?:0|[1-9][0-9]*)(?:\.[0-9]{1,2})?$/);

/** The merchant's reference: 1 to 50 printable ASCII characters without spaces. */
export const merchantReferenceId = z.string().regex(/^[\x21-\x7e]{1,50}$/);

const credential = credentialName
  .optional()
  .describe('Name of the stored credential; default `default`.');

// The vendor publishes no lengths. Beyond the probable ones the worker warns; see
// inferred-lengths.ts. These limits only refuse what is absurd.
const order = z.strictObject({
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .describe('Three-letter ISO 4217 code, such as `EUR`.'),
  amount: amount.describe('Decimal amount above zero with at most two decimals, such as `12.50`.'),
  methods: nonEmptyText(200).describe(
    "Oceanpayment's name of the payment method, such as `Klarna`.",
  ),
  redirectUrl: url
    .optional()
    .describe(
      "URL for the customer's browser with the gateway's result; default: the worker's own.",
    ),
  notifyUrl: url
    .optional()
    .describe("URL for the push of the gateway's server; default: the worker's own."),
  remark: storableText(1_000)
    .optional()
    .describe('Free text that the gateway repeats in its reply.'),
  ip: storableText(200).optional().describe('IP address of the customer.'),
  description: storableText(1_000)
    .optional()
    .describe('Free text about the order that the gateway repeats in its reply.'),
});

const billing = z.strictObject({
  firstname: nonEmptyText(200).describe('First name of the customer.'),
  lastname: nonEmptyText(200).describe('Last name of the customer.'),
  email: nonEmptyText(254).describe('E-mail address of the customer.'),
  phone: storableText(200).optional().describe('Phone number of the customer.'),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/)
    .describe('Two-letter ISO 3166-1 code of the country, such as `DE`.'),
  state: storableText(500).optional().describe('State or province.'),
  city: storableText(1_000).optional().describe('City.'),
  address: storableText(1_000).optional().describe('Street and house number.'),
  zip: storableText(200).optional().describe('Postal code.'),
});

const device = z.strictObject({
  environment: storableText(100)
    .optional()
    .describe('Environment of the device. The gateway documents no values.'),
  osType: storableText(100)
    .optional()
    .describe('Operating system of the device. The gateway documents no values.'),
});

const subscription = z.strictObject({
  name: storableText(1_000).optional().describe('Name of the subscription.'),
  interval: storableText(100)
    .optional()
    .describe('Interval between two payments. The gateway documents no unit.'),
  intervalCount: storableText(100)
    .optional()
    .describe('Number of intervals. The gateway documents no limit.'),
});

// The vendor's body of a QuickPay creation, with `credential` and `returnUrl` added.
const tokenizationRequestV1 = z.strictObject({
  v,
  credential,
  order: order.describe('The order that the customer approves.'),
  merchant: z
    .strictObject({
      referenceId: merchantReferenceId.describe(
        "Merchant's reference of this request, unique per terminal. It is the idempotency key.",
      ),
    })
    .describe("The merchant's side of the request."),
  billing: billing.describe('Name and address of the customer. The worker stores them sealed.'),
  customer: z
    .strictObject({
      id: nonEmptyText(200).describe(
        "Id of the customer in the merchant's system. Tokenizations can be found by it.",
      ),
    })
    .describe("The customer in the merchant's system."),
  device: device.optional().describe("The customer's device."),
  subscription: subscription.optional().describe('The subscription that the token pays for.'),
  customer_info: storableText(8_000)
    .optional()
    .describe('Risk data about the customer, as a text with compact JSON.'),
  voucher_info: storableText(8_000)
    .optional()
    .describe('Data about the goods or services, as a text with compact JSON.'),
  returnUrl: url
    .optional()
    .describe("Shop's URL for the customer at the end. `RETURN_URL_HOSTS` must list its host."),
});

/**
 * A backend's request for a QuickPay ID. Add the next version beside the first, with its upgrade.
 */
export const tokenizationRequestPayload = payloadVersions({ v: 1, schema: tokenizationRequestV1 });

/** A backend's request for a QuickPay ID. */
export type TokenizationRequestPayload = z.infer<typeof tokenizationRequestPayload>;

/** The payload of the worker's own jobs about a tokenization. */
export const tokenizationIdPayload = z.strictObject({
  v,
  tokenizationId: z.uuid().describe('Id of the tokenization.'),
});

/** Disables a token, by the tokenization's id or by the merchant's reference. */
export const tokenDisablePayload = payloadVersions({
  v: 1,
  schema: z.union([
    tokenizationIdPayload,
    z.strictObject({
      v,
      merchantReferenceId: merchantReferenceId.describe(
        "Merchant's reference of the request, at the terminal of `credential`.",
      ),
      credential,
    }),
  ]),
});

/** A message of the gateway that a backend received itself. */
export const rawCallbackPayload = payloadVersions({
  v: 1,
  schema: z.strictObject({
    v,
    contentType: storableText(255)
      .optional()
      .describe('Header `Content-Type` of the message as received.'),
    // The body is stored sealed, so it may hold any character.
    body: z
      .string()
      .max(65_536)
      .describe('Body of the message as received; for a redirect by GET, its query string.'),
    receivedAt: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('Instant of receipt, at most `CALLBACK_REFUSED_MAX_AGE_MS` ago; default: now.'),
    sourceIp: storableText(50)
      .optional()
      .describe('IP address of the sender. The worker stores only a keyed digest of it.'),
  }),
});

/** The payload of the worker's own jobs about a callback. */
export const callbackIdPayload = z.strictObject({ v, callbackId: z.uuid() });

/** The payload of the worker's own jobs about a delivery. */
export const deliveryIdPayload = z.strictObject({ v, deliveryId: z.uuid() });

/** Renews an access token; with `generation`, only while that generation is the current one. */
export const accessTokenRefreshPayload = payloadVersions({
  v: 1,
  schema: z.strictObject({
    v,
    credential: credentialName.describe('Name of the stored OPCard credential.'),
    generation: z
      .int()
      .min(0)
      .optional()
      .describe(
        'Generation to renew. The job does nothing if the current generation is a different one.',
      ),
  }),
});

/** The payload of repeating jobs. */
export const scanPayload = z.strictObject({ v });
