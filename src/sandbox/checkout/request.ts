import { z } from 'zod';
import type { CreationKey } from '../creation/store.ts';

const text = z.string().optional().default('');
const required = z.string().min(1).max(500);
const httpUrl = z.url({ protocol: /^https?$/ }).max(500);

/**
 * Body of `POST /pg/quickPay/create`. Strict where the gateway is documented to be (nodes, types, an amount of at most two
 * decimals), tolerant elsewhere: unknown fields pass. URLs must be http or https, since one becomes a form's action.
 */
export const createBodySchema = z.object({
  order: z.object({
    currency: z.string().regex(/^[A-Z]{3}$/),
    amount: z
      .string()
      .max(10)
      .regex(/^\d+(\.\d{1,2})?$/),
    methods: required.max(50),
    redirectUrl: httpUrl,
    notifyUrl: httpUrl.or(z.literal('')).optional().default(''),
    remark: text,
    description: text,
  }),
  merchant: z.object({ referenceId: required.max(50) }),
  billing: z.object({
    firstname: required,
    lastname: required,
    email: required,
    country: text,
  }),
  customer: z.object({ id: text }),
});

/** A create call that passed the checks. */
export type CreateBody = z.infer<typeof createBodySchema>;

const keyNode = z.object({ referenceId: z.string().min(1) });
const idNode = z.object({ id: z.string().min(1) });
const queryBodySchema = z.object({
  order: keyNode.optional(),
  merchant: keyNode.optional(),
  quickpay: idNode.optional(),
  customer: idNode.optional(),
});
const cancelBodySchema = z.object({ quickpay: idNode });

/**
 * The key in a query. The page asks for one of four, but its own example fills three, so the narrowest one counts: order,
 * merchant, quickpay, customer. Undefined when there is none.
 */
export function findQueryKey(body: unknown): CreationKey | undefined {
  const parsed = queryBodySchema.safeParse(body);
  if (!parsed.success) return undefined;
  const { order, merchant, quickpay, customer } = parsed.data;
  if (order !== undefined) return { by: 'order', value: order.referenceId };
  if (merchant !== undefined) return { by: 'merchant', value: merchant.referenceId };
  if (quickpay !== undefined) return { by: 'quickpay', value: quickpay.id };
  if (customer !== undefined) return { by: 'customer', value: customer.id };
  return undefined;
}

/** The key in a cancel; undefined when there is none. */
export function findCancelKey(body: unknown): CreationKey | undefined {
  const parsed = cancelBodySchema.safeParse(body);
  return parsed.success ? { by: 'quickpay', value: parsed.data.quickpay.id } : undefined;
}

/** The merchant reference of a create call, also of one that fails the checks. */
export function findCreateReference(body: unknown): string | undefined {
  const parsed = z.object({ merchant: keyNode }).safeParse(body);
  return parsed.success ? parsed.data.merchant.referenceId : undefined;
}

/** The remark of a create call, also of one that fails the checks; empty when there is none. */
export function findRemark(body: unknown): string {
  const parsed = z.object({ order: z.object({ remark: z.string() }) }).safeParse(body);
  return parsed.success ? parsed.data.order.remark : '';
}
