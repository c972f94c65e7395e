import { type Kysely, sql } from 'kysely';

/**
 * `token_lifecycle.enqueue`: jobs from any backend, inside its own transaction, into the outbox. A role that may call it can do
 * nothing else here: it sees no table and can't write the outbox by itself.
 *
 * `enqueue_id` is what the caller gets back, `enqueue_key` orders the rows of one key, `enqueued_by` is the login for the audit
 * trail; all three are null in the worker's own rows. The partial index costs rows with a key only.
 *
 * Lock: ACCESS EXCLUSIVE on outbox for a moment, then SHARE while the index of a nearly empty table is built. Safe while old
 * code runs: yes for its own rows; but an old relay puts a row from here onto its queue as it is, content and all,
 * so grant the role once every worker is of this release.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.outbox
      add column enqueue_id uuid,
      add column enqueue_key text,
      add column enqueued_by text`.execute(db);
  await sql`
    create index outbox_enqueue_key on token_lifecycle.outbox (enqueue_key, id)
    where enqueue_key is not null`.execute(db);
  await createFieldTable(db);
  await createFaultFunction(db);
  await createEnqueueFunction(db);
  await grantEnqueue(db);
}

/**
 * What each payload holds, as data: one row a field. `pattern` and `length_max` are of texts; a field without either is an object.
 * The next version of a payload is a few more rows, in a migration of its own that replaces this function.
 */
async function createFieldTable(db: Kysely<unknown>): Promise<void> {
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
 * The paths of a payload that are wrong, and never their values. Written without one cast of a value: a cast that fails
 * puts what it could not read into the error.
 */
async function createFaultFunction(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.payload_faults(shape text, payload jsonb) returns text[]
    language sql immutable set search_path = pg_catalog, pg_temp as $$
      with field as (
        select f.path, f.kind, f.is_required, f.pattern, f.length_max, string_to_array(f.path, '.') as steps
        from token_lifecycle.payload_fields() f
        where f.shape = payload_faults.shape and to_jsonb(f.v) = payload -> 'v'
      ), fault as (
        select f.path from field f
        cross join lateral (select payload #> f.steps as value, payload #>> f.steps as said) held
        cross join lateral (select payload #> f.steps[:cardinality(f.steps) - 1] as holder) parent
        where case
          -- What is wrong with an object that is absent or none is said of the object, once.
          when cardinality(f.steps) > 1 and jsonb_typeof(holder) is distinct from 'object' then false
          when value is null then f.is_required
          when jsonb_typeof(value) <> f.kind then true
          when f.kind = 'object' then false
          else length(said) > f.length_max
            or (f.pattern is not null and said collate "C" !~ f.pattern)
        end
        union all
        -- Names that do not belong are input too: only their parent is named.
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

/**
 * SECURITY DEFINER with a pinned search_path, every name with its schema, and no dynamic statement, so that nothing the caller
 * defines is ever run with the owner's rights.
 *
 * One constant NOTIFY a transaction: PostgreSQL itself drops duplicates. It takes a database-wide lock at commit and forbids PREPARE
 * TRANSACTION, so a caller may do without it: token_lifecycle.notify = off leaves the row to the relay's next poll.
 */
async function createEnqueueFunction(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.enqueue(job_name text, payload jsonb, key text default null) returns uuid
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp as $$
    declare
      enqueued uuid := gen_random_uuid();
      queue_name text := case enqueue.job_name
        when 'tokenization.request' then 'tokenization'
        when 'token.disable' then 'tokenization'
        when 'callback.verify' then 'callback-verification'
        when 'notify.handle' then 'notify'
        when 'access-token.refresh' then 'access-token'
      end;
      payload_shape text := case
        when enqueue.job_name in ('callback.verify', 'notify.handle') then 'raw callback'
        when enqueue.job_name <> 'token.disable' then enqueue.job_name
        when enqueue.payload ? 'tokenizationId' then 'token.disable by id'
        else 'token.disable by reference'
      end;
      faults text[];
    begin
      if queue_name is null then
        raise exception 'job_unknown: job_name' using errcode = 'TL001',
          hint = 'A backend may add tokenization.request, token.disable, callback.verify, notify.handle and access-token.refresh.';
      end if;
      if jsonb_typeof(enqueue.payload) is distinct from 'object' then
        raise exception 'payload_invalid: payload' using errcode = 'TL002', hint = 'Hand over a JSON object.';
      end if;
      if octet_length(enqueue.payload::text) > 262144 then
        raise exception 'payload_too_large: payload' using errcode = 'TL004', hint = 'A payload has 262144 bytes at most.';
      end if;
      if length(enqueue.key) not between 1 and 200 then
        raise exception 'payload_invalid: key' using errcode = 'TL002', hint = 'A key has 1 to 200 characters.';
      end if;
      if jsonb_typeof(enqueue.payload -> 'v') is distinct from 'number' then
        raise exception 'payload_invalid: v' using errcode = 'TL002', hint = 'A payload carries its version as a number.';
      end if;
      if not exists (
        select from token_lifecycle.payload_fields() f
        where f.shape = payload_shape and to_jsonb(f.v) = enqueue.payload -> 'v'
      ) then
        raise exception 'payload_version_unsupported: v' using errcode = 'TL003';
      end if;
      faults := token_lifecycle.payload_faults(payload_shape, enqueue.payload);
      if cardinality(faults) > 0 then
        raise exception 'payload_invalid: %', array_to_string(faults, ', ') using errcode = 'TL002';
      end if;
      insert into token_lifecycle.outbox (queue, job_name, job_id, payload, enqueue_id, enqueue_key, enqueued_by)
      values (queue_name, enqueue.job_name, 'enqueue-' || enqueued || '-g1', enqueue.payload, enqueued, enqueue.key, session_user);
      if coalesce(current_setting('token_lifecycle.notify', true), '') <> 'off' then
        perform pg_notify('token_lifecycle_enqueue', '');
      end if;
      return enqueued;
    end $$`.execute(db);
}

/**
 * A role that exists to be granted. Roles belong to the whole server, so another database may have made it already; where the
 * login may not create roles, the owner grants EXECUTE and USAGE by hand. PUBLIC may call none of the three.
 */
async function grantEnqueue(db: Kysely<unknown>): Promise<void> {
  await sql`
    revoke all on function token_lifecycle.enqueue(text, jsonb, text), token_lifecycle.payload_fields(),
      token_lifecycle.payload_faults(text, jsonb) from public`.execute(db);
  await sql`
    do $$
    begin
      if not exists (select from pg_roles where rolname = 'token_lifecycle_enqueue') then
        create role token_lifecycle_enqueue nologin;
      end if;
    exception
      when insufficient_privilege then
        raise notice 'token_lifecycle_enqueue could not be created: grant EXECUTE on token_lifecycle.enqueue by hand';
      when duplicate_object or unique_violation then
        null;
    end $$`.execute(db);
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_enqueue') then
        grant usage on schema token_lifecycle to token_lifecycle_enqueue;
        grant execute on function token_lifecycle.enqueue(text, jsonb, text) to token_lifecycle_enqueue;
      end if;
    end $$`.execute(db);
}
