import { type Kysely, sql } from 'kysely';

/**
 * `token_lifecycle.enqueue`: a backend adds a job inside its own transaction, into the outbox. A
 * role that may call it can do nothing else here: it sees no table and can't write the outbox
 * directly.
 *
 * It is SECURITY DEFINER with a pinned search_path, schema-qualified names and no dynamic SQL, so
 * no object that the caller defines runs with the owner's rights.
 *
 * It sends one constant NOTIFY a transaction; PostgreSQL drops the duplicates. NOTIFY takes a
 * database-wide lock at commit and forbids PREPARE TRANSACTION, so a caller may turn it off:
 * with `token_lifecycle.notify = off` the row waits for the relay's next poll.
 *
 * Lock: none.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createEnqueue(db);
  await grantEnqueue(db);
}

async function createEnqueue(db: Kysely<unknown>): Promise<void> {
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

async function grantEnqueue(db: Kysely<unknown>): Promise<void> {
  await sql`
    revoke all on function token_lifecycle.enqueue(text, jsonb, text) from public`.execute(db);
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_enqueue') then
        grant execute on function token_lifecycle.enqueue(text, jsonb, text) to token_lifecycle_enqueue;
      end if;
    end $$`.execute(db);
}
