import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { withClient } from '../../src/db/connection/database.ts';
import { backendJobs } from '../../src/domain/payload/backend-jobs.ts';
import { pathsOf } from '../../src/domain/payload/payload-paths.ts';
import { requestPayload } from '../support/builders.ts';
import { answerTo, connectEnqueuer, type Enqueuer } from '../support/harness/enqueuer.ts';
import { test as base } from '../support/harness/fixtures.ts';
import {
  withValueAt,
  oddValues,
  payloadFixtures,
  mutablePaths,
} from '../support/payload-fixtures.ts';

const test = base.extend('backend', async ({ databaseUrl }, { onCleanup }): Promise<Enqueuer> => {
  const backend = await connectEnqueuer(databaseUrl);
  onCleanup(backend.close);
  return backend;
});

const fixtures = await payloadFixtures(1);

/** Each refusal: message, SQLSTATE, job and payload. */
const refusals = [
  ['job_unknown: job_name', 'TL001', 'delivery.send', { v: 1 }],
  ['job_unknown: job_name', 'TL001', 'canary', { v: 1 }],
  ['payload_invalid: payload', 'TL002', 'token.disable', ['canary']],
  ['payload_invalid: payload', 'TL002', 'token.disable', null],
  ['payload_invalid: v', 'TL002', 'token.disable', { merchantReferenceId: 'canary' }],
  ['payload_invalid: v', 'TL002', 'token.disable', { v: '1', merchantReferenceId: 'canary' }],
  ['payload_version_unsupported: v', 'TL003', 'token.disable', { v: 0, tokenizationId: 'x' }],
  ['payload_version_unsupported: v', 'TL003', 'tokenization.request', { v: 2 }],
  ['payload_too_large: payload', 'TL004', 'notify.handle', { v: 1, body: 'x'.repeat(262_144) }],
  [
    'payload_invalid: billing.*, billing.country, billing.email, billing.lastname, customer, order.amount',
    'TL002',
    'tokenization.request',
    {
      ...requestPayload(),
      order: { currency: 'EUR', amount: '1.234', methods: 'Klarna' },
      billing: { firstname: 'canary', lastname: '', country: 'Germany', canary: 'canary' },
      customer: undefined,
    },
  ],
] as const;

async function outboxOf(databaseUrl: string) {
  return await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<Record<string, unknown>>(
      'select * from token_lifecycle.outbox order by id',
    );
    return rows;
  });
}

describe('token_lifecycle.enqueue', () => {
  test('accepts every committed payload and returns the id of its job', async ({
    backend,
    databaseUrl,
  }) => {
    const ids: string[] = [];
    for (const { job, payload } of fixtures) ids.push(await backend.enqueue(job, payload, 'k'));
    const rows = await outboxOf(databaseUrl);
    expect(rows).toEqual(
      fixtures.map(({ job, payload }, index) =>
        expect.objectContaining({
          queue: backendJobs[job].queue,
          job_name: job,
          job_id: `enqueue-${ids[index]}-g1`,
          enqueue_id: ids[index],
          enqueue_key: 'k',
          payload,
        }),
      ),
    );
    expect(new Set(ids).size).toBe(fixtures.length);
  });

  test('leaves no row after a rollback, whole or to a savepoint', async ({
    backend,
    databaseUrl,
  }) => {
    const { client, enqueue } = backend;
    await client.query('begin');
    await enqueue('tokenization.request', requestPayload());
    await client.query('rollback');
    expect(await outboxOf(databaseUrl)).toEqual([]);

    await client.query('begin');
    const kept = await enqueue('tokenization.request', requestPayload());
    await client.query('savepoint s');
    await enqueue('tokenization.request', requestPayload());
    await client.query('rollback to s');
    expect(await outboxOf(databaseUrl)).toEqual([]);
    await client.query('commit');
    expect(await outboxOf(databaseUrl)).toMatchObject([{ enqueue_id: kept }]);
  });

  test('commits with rows of the backend in two concurrent transactions of any isolation level', async ({
    backend,
    databaseUrl,
  }) => {
    const { client, enqueue, role } = backend;
    await client.query(`create table ${role}.orders (reference text primary key)`);
    const other = await connectEnqueuer(databaseUrl);
    try {
      for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
        for (const one of [client, other.client]) {
          await one.query(`begin isolation level ${isolation}`);
        }
        await client.query(`insert into ${role}.orders values ('${isolation}')`);
        await enqueue('tokenization.request', requestPayload(), 'o');
        await other.enqueue('tokenization.request', requestPayload(), 'o');
        await other.client.query('commit');
        await client.query('commit');
      }
      expect(await outboxOf(databaseUrl)).toHaveLength(6);
      expect((await client.query(`select from ${role}.orders`)).rowCount).toBe(3);
    } finally {
      await other.close();
    }
  });

  test('notifies once per transaction with an empty payload, or not at all if switched off', async ({
    backend,
    databaseUrl,
  }) => {
    await withClient(databaseUrl, async (listener) => {
      const heard: (string | undefined)[] = [];
      listener.on('notification', ({ payload }) => heard.push(payload));
      await listener.query('listen token_lifecycle_enqueue');
      const { client, enqueue } = backend;
      await client.query('begin');
      for (let n = 0; n < 3; n += 1)
        await enqueue('access-token.refresh', fixtures.at(-1)?.payload);
      await client.query('commit');
      await listener.query('select 1');
      expect(heard).toEqual(['']);

      await client.query('begin');
      await client.query("set local token_lifecycle.notify = 'off'");
      await enqueue('access-token.refresh', fixtures.at(-1)?.payload);
      await client.query('commit');
      await listener.query('select 1');
      expect(heard).toEqual(['']);
    });
  });

  test('refuses with a code and the names of fields, never a value', async ({ backend }) => {
    for (const [message, code, job, payload] of refusals) {
      const answer = await answerTo(async () => await backend.enqueue(job, payload));
      expect(answer).toEqual({ code, message });
    }
    for (const key of ['', 'x'.repeat(201)]) {
      const run = async () => await backend.enqueue('token.disable', fixtures[2]?.payload, key);
      expect(await answerTo(run)).toEqual({ code: 'TL002', message: 'payload_invalid: key' });
    }
  });

  test('accepts and refuses the same payloads as the worker, with the same paths', async ({
    backend,
  }) => {
    await backend.client.query("set synchronous_commit = off; set token_lifecycle.notify = 'off'");
    for (const { job, payload } of fixtures) {
      for (const path of mutablePaths(payload).filter(([first]) => first !== 'v')) {
        for (const value of oddValues) {
          const odd = withValueAt(payload, path, value);
          const parsed = backendJobs[job].payload.safeParse(odd);
          const answer = await answerTo(async () => await backend.enqueue(job, odd));
          const expected = parsed.success ? [] : pathsOf(parsed.error.issues).toSorted();
          const paths = /^payload_invalid: (.*)$/.exec(answer.message)?.[1]?.split(', ') ?? [];
          const spot = `${job} ${path.join('.')}: ${JSON.stringify(value)?.slice(0, 9)}`;
          expect({ spot, paths: isLooselyChecked(paths, expected) ? expected : paths }).toEqual({
            spot,
            paths: expected,
          });
        }
      }
    }
  });
});

/** Both must refuse a payload of a union, but may name the paths of another branch. */
function isLooselyChecked(paths: readonly string[], expected: readonly string[]): boolean {
  const isAboutTarget = (path: string): boolean =>
    ['tokenizationId', 'merchantReferenceId', 'credential', '*'].includes(path);
  return paths.length > 0 && expected.length > 0 && [...paths, ...expected].every(isAboutTarget);
}

test('the database takes as long a text as the worker does', async ({ databaseUrl }) => {
  const file = new URL('../../schemas/tokenization.request.json', import.meta.url);
  const schema: unknown = JSON.parse(await readFile(file, 'utf8'));
  const rows = await withClient(databaseUrl, async (client) => {
    const { rows: fields } = await client.query<{ path: string; length_max: number }>(
      `select path, length_max from token_lifecycle.payload_fields()
       where shape = 'tokenization.request' and kind = 'string' order by path`,
    );
    return fields;
  });
  const lengths = rows.map(({ path, length_max: lengthMax }) => {
    const published = lengthIn(schema, path.split('.'));
    return { path, lengthMax: published === undefined ? undefined : lengthMax, published };
  });
  expect(lengths.filter(({ published }) => published !== undefined).length).toBeGreaterThan(18);
  expect(lengths.filter(({ lengthMax, published }) => lengthMax !== published)).toEqual([]);
});

/** The `maxLength` of a field in a JSON Schema. */
function lengthIn(schema: unknown, [key, ...rest]: readonly string[]): number | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  if (key === undefined) {
    return 'maxLength' in schema && typeof schema.maxLength === 'number'
      ? schema.maxLength
      : undefined;
  }
  const fields = 'properties' in schema ? schema.properties : undefined;
  return typeof fields === 'object' && fields !== null
    ? lengthIn(new Map(Object.entries(fields)).get(key), rest)
    : undefined;
}

describe('role token_lifecycle_enqueue', () => {
  const attempts = [
    'select * from token_lifecycle.outbox',
    'select * from token_lifecycle.tokenization',
    'select * from token_lifecycle.audit_event',
    'select * from token_lifecycle.timeline',
    'select * from token_lifecycle.dead_letter',
    `insert into token_lifecycle.outbox (queue, job_name, job_id, payload) values ('notify', 'x', 'x', '{}')`,
    'update token_lifecycle.outbox set tries = 0',
    'delete from token_lifecycle.outbox',
    'truncate token_lifecycle.outbox',
    "select nextval('token_lifecycle.audit_event_id_seq')",
    'select token_lifecycle.ensure_audit_partitions(1)',
    'select * from token_lifecycle.payload_fields()',
    "select token_lifecycle.payload_faults('token.disable', '{}')",
    'create table token_lifecycle.mine ()',
    'create or replace function token_lifecycle.enqueue(job_name text, payload jsonb, key text default null) returns uuid language sql as $$ select null $$',
    'alter function token_lifecycle.enqueue(text, jsonb, text) reset all',
  ];

  test('may do nothing except enqueue', async ({ backend, databaseUrl }) => {
    await backend.enqueue('token.disable', fixtures[2]?.payload);
    for (const statement of attempts) {
      const { code } = await answerTo(async () => await backend.client.query(statement));
      expect({ statement, code }).toEqual({ statement, code: '42501' });
    }
    expect(await outboxOf(databaseUrl)).toHaveLength(1);
  });

  test('can not make enqueue use its own tables, functions and operators', async ({
    backend,
    databaseUrl,
  }) => {
    const { client, role } = backend;
    await client.query(`
      create table ${role}.spied (who text);
      create function ${role}.spy() returns text language plpgsql as $$
        begin insert into ${role}.spied values (current_user); return current_user; end $$;
      create temp table outbox (queue text, job_name text, job_id text, payload jsonb, enqueue_id uuid, enqueue_key text);
      create function ${role}.gen_random_uuid() returns uuid language sql
        as $$ select ${role}.spy()::text::uuid $$;
      create function ${role}.octet_length(text) returns integer language sql as $$ select length(${role}.spy()) $$;
      create function ${role}.jsonb_typeof(jsonb) returns text language sql as $$ select ${role}.spy() $$;
      create function ${role}.pg_notify(text, text) returns void language sql as $$ select ${role}.spy() $$;
      create function ${role}.payload_fields() returns text language sql as $$ select ${role}.spy() $$;
      create function pg_temp.jsonb_typeof(jsonb) returns text language sql as $$ select ${role}.spy() $$;
      create function ${role}.spying(jsonb, text) returns boolean language sql as $$ select ${role}.spy() <> '' $$;
      create operator ${role}.? (function = ${role}.spying, leftarg = jsonb, rightarg = text);
      set search_path = pg_temp, ${role}, pg_catalog, token_lifecycle`);
    const id = await backend.enqueue('token.disable', fixtures[2]?.payload);
    expect(await outboxOf(databaseUrl)).toMatchObject([{ enqueue_id: id }]);
    expect((await client.query('select * from pg_temp.outbox')).rows).toEqual([]);
    expect((await client.query(`select * from ${role}.spied`)).rows).toEqual([]);
  });

  test('is required: another role can not enqueue', async ({ databaseUrl }) => {
    const other = await connectEnqueuer(databaseUrl, false);
    try {
      const run = async () => await other.enqueue('token.disable', fixtures[2]?.payload);
      expect((await answerTo(run)).code).toBe('42501');
      await other.client.query('reset role');
      await other.client.query(`grant usage on schema token_lifecycle to ${other.role}`);
      await other.client.query(`set role ${other.role}`);
      expect((await answerTo(run)).code).toBe('42501');
    } finally {
      await other.close();
    }
  });

  test('uses functions that pin their search_path and that PUBLIC can not execute', async ({
    databaseUrl,
  }) => {
    await withClient(databaseUrl, async (client) => {
      const { rows } = await client.query(
        `select proname, prosecdef, proconfig, has_function_privilege('public', oid, 'execute') as is_public
         from pg_proc where pronamespace = 'token_lifecycle'::regnamespace
           and proname in ('enqueue', 'payload_fields', 'payload_faults') order by proname`,
      );
      const proconfig = ['search_path=pg_catalog, pg_temp'];
      expect(rows).toEqual([
        { proname: 'enqueue', prosecdef: true, proconfig, is_public: false },
        { proname: 'payload_faults', prosecdef: false, proconfig, is_public: false },
        { proname: 'payload_fields', prosecdef: false, proconfig, is_public: false },
      ]);
    });
  });
});

test('the SQL in docs/enqueueing.md runs, and its table lists all refusals', async ({
  databaseUrl,
}) => {
  const docs = await readFile(new URL('../../docs/enqueueing.md', import.meta.url), 'utf8');
  const [grant = '', enqueue = '', ...others] = [...docs.matchAll(/```sql\n([^]*?)```/g)].map(
    ([, text = '']) => text,
  );
  expect(others).toEqual([]);
  const backend = await connectEnqueuer(databaseUrl, false);
  try {
    const run = async () => await backend.client.query(enqueue);
    expect((await answerTo(run)).code).toBe('42501');
    await backend.client.query('rollback; reset role');
    await backend.client.query(grant.replace('my_backend', backend.role));
    await backend.client.query(`set role ${backend.role}`);
    await run();
  } finally {
    await backend.close();
  }
  expect(await outboxOf(databaseUrl)).toMatchObject([
    { job_name: 'tokenization.request', enqueue_key: 'cust-77' },
  ]);
  const states = [...docs.matchAll(/^\| `(TL\d{3})` \| `(\w+): /gm)].map(([, code, name]) => [
    code,
    name,
  ]);
  expect(states.map(([code]) => code)).toEqual(['TL001', 'TL002', 'TL003', 'TL004']);
  const answers = refusals.map(([message, code]) => `${code} ${message.split(':')[0]}`);
  expect(states.filter(([code, name]) => !answers.includes(`${code} ${name}`))).toEqual([]);
});
