import { type Kysely, sql } from 'kysely';

/**
 * Raises the lengths that `token_lifecycle.enqueue` refuses. The vendor does not publish the limits
 * of these fields, so the worker warns beyond the probable ones and refuses only what is absurd.
 *
 * Lock: none.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create or replace function token_lifecycle.payload_fields()
    returns table (shape text, v integer, path text, kind text, is_required boolean, pattern text, length_max integer)
    language sql immutable set search_path = pg_catalog, pg_temp as $$
      values
        ('tokenization.request', 1, 'credential', 'string', false, '^[a-z0-9][a-z0-9_-]{0,62}$', 63),
        ('tokenization.request', 1, 'order', 'object', true, null, null),
        ('tokenization.request', 1, 'order.currency', 'string', true, '^[A-Z]{3}$', 3),
        ('tokenization.request', 1, 'order.amount', 'string', true, '^(?=.*[1-9])(?:0|[1-9][0-9]*)(?:[.][0-9]{1,2})?$', 10),
        ('tokenization.request', 1, 'order.methods', 'string', true, '.', 200),
        ('tokenization.request', 1, 'order.redirectUrl', 'string', false, '^https?://.', 2000),
        ('tokenization.request', 1, 'order.notifyUrl', 'string', false, '^https?://.', 2000),
        ('tokenization.request', 1, 'order.remark', 'string', false, null, 1000),
        ('tokenization.request', 1, 'order.ip', 'string', false, null, 200),
        ('tokenization.request', 1, 'order.description', 'string', false, null, 1000),
        ('tokenization.request', 1, 'merchant', 'object', true, null, null),
        ('tokenization.request', 1, 'merchant.referenceId', 'string', true, '^[!-~]{1,50}$', 50),
        ('tokenization.request', 1, 'billing', 'object', true, null, null),
        ('tokenization.request', 1, 'billing.firstname', 'string', true, '.', 200),
        ('tokenization.request', 1, 'billing.lastname', 'string', true, '.', 200),
        ('tokenization.request', 1, 'billing.email', 'string', true, '.', 254),
        ('tokenization.request', 1, 'billing.phone', 'string', false, null, 200),
        ('tokenization.request', 1, 'billing.country', 'string', true, '^[A-Z]{2}$', 2),
        ('tokenization.request', 1, 'billing.state', 'string', false, null, 500),
        ('tokenization.request', 1, 'billing.city', 'string', false, null, 1000),
        ('tokenization.request', 1, 'billing.address', 'string', false, null, 1000),
        ('tokenization.request', 1, 'billing.zip', 'string', false, null, 200),
        ('tokenization.request', 1, 'customer', 'object', true, null, null),
        ('tokenization.request', 1, 'customer.id', 'string', true, '.', 200),
        ('tokenization.request', 1, 'device', 'object', false, null, null),
        ('tokenization.request', 1, 'device.environment', 'string', false, null, 100),
        ('tokenization.request', 1, 'device.osType', 'string', false, null, 100),
        ('tokenization.request', 1, 'subscription', 'object', false, null, null),
        ('tokenization.request', 1, 'subscription.name', 'string', false, null, 1000),
        ('tokenization.request', 1, 'subscription.interval', 'string', false, null, 100),
        ('tokenization.request', 1, 'subscription.intervalCount', 'string', false, null, 100),
        ('tokenization.request', 1, 'customer_info', 'string', false, null, 8000),
        ('tokenization.request', 1, 'voucher_info', 'string', false, null, 8000),
        ('tokenization.request', 1, 'returnUrl', 'string', false, '^https?://.', 2000),
        ('token.disable by id', 1, 'tokenizationId', 'string', true, '^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$', 36),
        ('token.disable by reference', 1, 'merchantReferenceId', 'string', true, '^[!-~]{1,50}$', 50),
        ('token.disable by reference', 1, 'credential', 'string', false, '^[a-z0-9][a-z0-9_-]{0,62}$', 63),
        ('raw callback', 1, 'contentType', 'string', false, null, 255),
        ('raw callback', 1, 'body', 'string', true, null, 65536),
        ('raw callback', 1, 'receivedAt', 'string', false, '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})$', 60),
        ('raw callback', 1, 'sourceIp', 'string', false, null, 50),
        ('access-token.refresh', 1, 'credential', 'string', true, '^[a-z0-9][a-z0-9_-]{0,62}$', 63),
        ('access-token.refresh', 1, 'generation', 'number', false, '^[0-9]{1,15}$', 15)
    $$`.execute(db);
}
