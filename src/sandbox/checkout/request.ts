import { z } from 'zod';
import type { CreationKey } from '../creation/store.ts';

const text = z.string().optional().default('');
const required = z.string().min(1).max(500);
const httpUrl = z.url({ protocol: /^https?$/ }).max(500);

/**
 * Body of `POST /pg/quickPay/create`. It is strict where the gateway is documented to be: nodes,
 * types and an amount of at most two decimals. Unknown fields pass. URLs must be http or https,
 * because the hosted page uses `redirectUrl` as the action of a form.
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

/** A valid create body. */
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
 * The key of a query, undefined without one. Oceanpayment's page asks for one of four keys, but its
 * example fills three, so the first one counts: order, merchant, quickpay, customer.
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

/** The key of a cancel, undefined without one. */
export function findCancelKey(body: unknown): CreationKey | undefined {
  const parsed = cancelBodySchema.safeParse(body);
  return parsed.success ? { by: 'quickpay', value: parsed.data.quickpay.id } : undefined;
}

/** The merchant reference of a create, even of an invalid one. */
export function findCreateReference(body: unknown): string | undefined {
  const parsed = z.object({ merchant: keyNode }).safeParse(body);
  return parsed.success ? parsed.data.merchant.referenceId : undefined;
}

/** The remark of a create, even of an invalid one. Empty without a remark. */
export function findRemark(body: unknown): string {
  const parsed = z.object({ order: z.object({ remark: z.string() }) }).safeParse(body);
  return parsed.success ? parsed.data.order.remark : '';
}
