import { type Kysely, sql } from 'kysely';

/**
 * Creates the functions with which `token_lifecycle.enqueue` checks a payload, so that an invalid
 * payload fails the backend's transaction at once.
 *
 * Lock: none.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createPayloadFields(db);
  await createPayloadFaults(db);
  await sql`
    revoke all on function token_lifecycle.payload_fields(),
      token_lifecycle.payload_faults(text, jsonb) from public`.execute(db);
}

/**
 * What each payload holds, as data, one row a field. `pattern` and `length_max` apply to texts; an
 * object has neither. The next version of a payload is a few more rows, in a new migration that
 * replaces this function.
 */
async function createPayloadFields(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.payload_fields()
    returns table (shape text, v integer, path text, kind text, is_required boolean, pattern text, length_max integer)
    language sql immutable set search_path = pg_catalog, pg_temp as $$
      values
        ('tokenization.request', 1, 'credential', 'string', false, '^[a-z0-9][a-z0-9_-]{0,62}$', 63),
        ('tokenization.request', 1, 'order', 'object', true, null, null),
        ('tokenization.request', 1, 'order.currency', 'string', true, '^[A-Z]{3}$', 3),
        ('tokenization.request', 1, 'order.amount', 'string', true, '^(?=.*[1-9])(?:0|[1-9][0-9]*)(?:[.][0-9]{1,2})?$', 10),
        ('tokenization.request', 1, 'order.methods', 'string', true, '.', 50),
        ('tokenization.request', 1, 'order.redirectUrl', 'string', false, '^https?://.', 500),
        ('tokenization.request', 1, 'order.notifyUrl', 'string', false, '^https?://.', 500),
        ('tokenization.request', 1, 'order.remark', 'string', false, null, 255),
        ('tokenization.request', 1, 'order.ip', 'string', false, null, 50),
        ('tokenization.request', 1, 'order.description', 'string', false, null, 255),
        ('tokenization.request', 1, 'merchant', 'object', true, null, null),
        ('tokenization.request', 1, 'merchant.referenceId', 'string', true, '^[!-~]{1,50}$', 50),
        ('tokenization.request', 1, 'billing', 'object', true, null, null),
        ('tokenization.request', 1, 'billing.firstname', 'string', true, '.', 50),
        ('tokenization.request', 1, 'billing.lastname', 'string', true, '.', 50),
        ('tokenization.request', 1, 'billing.email', 'string', true, '.', 254),
        ('tokenization.request', 1, 'billing.phone', 'string', false, null, 50),
        ('tokenization.request', 1, 'billing.country', 'string', true, '^[A-Z]{2}$', 2),
        ('tokenization.request', 1, 'billing.state', 'string', false, null, 100),
        ('tokenization.request', 1, 'billing.city', 'string', false, null, 500),
        ('tokenization.request', 1, 'billing.address', 'string', false, null, 500),
        ('tokenization.request', 1, 'billing.zip', 'string', false, null, 50),
        ('tokenization.request', 1, 'customer', 'object', true, null, null),
        ('tokenization.request', 1, 'customer.id', 'string', true, '.', 100),
        ('tokenization.request', 1, 'device', 'object', false, null, null),
        ('tokenization.request', 1, 'device.environment', 'string', false, null, 100),
        ('tokenization.request', 1, 'device.osType', 'string', false, null, 100),
        ('tokenization.request', 1, 'subscription', 'object', false, null, null),
        ('tokenization.request', 1, 'subscription.name', 'string', false, null, 255),
        ('tokenization.request', 1, 'subscription.interval', 'string', false, null, 10),
        ('tokenization.request', 1, 'subscription.intervalCount', 'string', false, null, 10),
        ('tokenization.request', 1, 'customer_info', 'string', false, null, 8000),
        ('tokenization.request', 1, 'voucher_info', 'string', false, null, 8000),
        ('tokenization.request', 1, 'returnUrl', 'string', false, '^https?://.', 500),
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

/**
 * The paths of the fields that are wrong, never their values. It casts no value: a cast that fails
 * puts the value into its error message.
 */
async function createPayloadFaults(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.payload_faults(shape text, payload jsonb) returns text[]
    language sql immutable set search_path = pg_catalog, pg_temp as $$
      with field as (
        select f.path, f.kind, f.is_required, f.pattern, f.length_max, string_to_array(f.path, '.') as steps
        from token_lifecycle.payload_fields() f
        where f.shape = payload_faults.shape and to_jsonb(f.v) = payload -> 'v'
      ), fault as (
        select f.path from field f
        cross join lateral (select payload #> f.steps as value, payload #>> f.steps as text_value) held
        cross join lateral (select payload #> f.steps[:cardinality(f.steps) - 1] as holder) parent
        where case
          -- A missing or wrong object is one fault; its fields are not reported.
          when cardinality(f.steps) > 1 and jsonb_typeof(holder) is distinct from 'object' then false
          when value is null then f.is_required
          when jsonb_typeof(value) <> f.kind then true
          when f.kind = 'object' then false
          else length(text_value) > f.length_max
            or (f.pattern is not null and text_value collate "C" !~ f.pattern)
        end
        union all
        -- An unknown name is input too, so the fault names only its parent.
        select case when parent.path = '' then '*' else parent.path || '.*' end
        from (
          select '' as path, payload as value
          union all
          select f.path, payload #> f.steps from field f where f.kind = 'object'
        ) parent
        where jsonb_typeof(parent.value) = 'object' and exists (
          select from jsonb_object_keys(parent.value) as key
          where not (parent.path = '' and key = 'v') and not exists (
            select from field f
            where f.path = case when parent.path = '' then key else parent.path || '.' || key end
              and strpos(key, '.') = 0))
      )
      select coalesce(array_agg(path order by path), '{}') from fault
    $$`.execute(db);
}
