import { z } from 'zod';
import { payloadVersions } from './payload-versions.ts';

const v = z.literal(1);
// PostgreSQL stores neither NUL nor half a character; a message's body is sealed and may hold
// anything.
const isStorable = (value: string): boolean => value.isWellFormed() && !value.includes('\0');
/** Text that can be stored and compared, of at most `lengthMax` characters. */
export const text = (lengthMax: number) =>
  z.string().max(lengthMax).refine(isStorable, 'holds NUL or half a character');
const filled = (lengthMax: number) => text(lengthMax).min(1);
// The pattern says the protocol once more, for readers of the published JSON Schema.
const url = z
  .url({ protocol: /^https?$/ })
  .max(500)
  .regex(/^https?:\/\//);

/** A name given to a stored credential; `default` is the one from the environment. */
export const credentialName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/);

/**
 * A decimal amount as text, at most two decimals, not zero (protocol: amounts are at most 10
 * characters). One pattern, so that the published JSON Schema says all of it.
 */
export const amount = z
  .string()
  .max(10)
  .regex(/^(?=.*[1-9])(?:0|[1-9][0-9]*)(?:\.[0-9]{1,2})?$/);

/** The merchant's reference: 1 to 50 printable characters. */
export const merchantReferenceId = z.string().regex(/^[\x21-\x7e]{1,50}$/);

// The vendor's body of a QuickPay creation, and what we add: the credential and where the customer
// ends up.
const tokenizationRequestV1 = z.strictObject({
  v,
  credential: credentialName.optional(),
  order: z.strictObject({
    currency: z.string().regex(/^[A-Z]{3}$/),
    amount,
    methods: filled(50),
    redirectUrl: url.optional(),
    notifyUrl: url.optional(),
    remark: text(255).optional(),
    ip: text(50).optional(),
    description: text(255).optional(),
  }),
  merchant: z.strictObject({ referenceId: merchantReferenceId }),
  billing: z.strictObject({
    firstname: filled(50),
    lastname: filled(50),
    email: filled(254),
    phone: text(50).optional(),
    country: z.string().regex(/^[A-Z]{2}$/),
    state: text(100).optional(),
    city: text(500).optional(),
    address: text(500).optional(),
    zip: text(50).optional(),
  }),
  customer: z.strictObject({ id: filled(100) }),
  device: z
    .strictObject({ environment: text(100).optional(), osType: text(100).optional() })
    .optional(),
  subscription: z
    .strictObject({
      name: text(255).optional(),
      interval: text(10).optional(),
      intervalCount: text(10).optional(),
    })
    .optional(),
  customer_info: text(8_000).optional(),
  voucher_info: text(8_000).optional(),
  returnUrl: url.optional(),
});

/**
 * A request for a QuickPay ID, as a backend hands it over. The next version goes beside the first,
 * with its upgrade.
 */
export const tokenizationRequestPayload = payloadVersions({ v: 1, schema: tokenizationRequestV1 });

/** A request for a QuickPay ID as a backend hands it over. */
export type TokenizationRequestPayload = z.infer<typeof tokenizationRequestPayload>;

/** What the worker's own jobs about a tokenization carry. */
export const tokenizationIdPayload = z.strictObject({ v, tokenizationId: z.uuid() });

/** Disables a token, by our id or by the merchant's reference at one credential's terminal. */
export const tokenDisablePayload = payloadVersions({
  v: 1,
  schema: z.union([
    tokenizationIdPayload,
    z.strictObject({ v, merchantReferenceId, credential: credentialName.optional() }),
  ]),
});

/** A message of the gateway that a backend received itself, as it came. */
export const rawCallbackPayload = payloadVersions({
  v: 1,
  schema: z.strictObject({
    v,
    contentType: text(255).optional(),
    body: z.string().max(65_536),
    receivedAt: z.iso
      .datetime({ offset: true })
      .optional()
      .describe(
        'When the backend received it: the received_at of the inbox, never in the future and no longer ago than CALLBACK_REFUSED_MAX_AGE_MS',
      ),
    sourceIp: text(50).optional(),
  }),
});

/** What the worker's own jobs about a callback carry. */
export const callbackIdPayload = z.strictObject({ v, callbackId: z.uuid() });

/** What the worker's own jobs about a delivery carry. */
export const deliveryIdPayload = z.strictObject({ v, deliveryId: z.uuid() });

/**
 * Asks for a new access token; with `generation`, only while that generation is the present one.
 */
export const accessTokenRefreshPayload = payloadVersions({
  v: 1,
  schema: z.strictObject({
    v,
    credential: credentialName,
    generation: z.int().min(0).optional(),
  }),
});

/** What repeating jobs carry. */
export const scanPayload = z.strictObject({ v });
