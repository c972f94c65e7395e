import { withClient } from '../../src/db/connection/database.ts';

/**
 * Fills a database with what it holds after years: `rows` finished tokenizations, messages,
 * deliveries and dead letters, and their audit trail. Half of the tokenizations belong to the
 * credential `former`, where all are over, and half to `default`, which has active tokens too; both
 * must exist. No trigger runs.
 */
export async function growDatabase(databaseUrl: string, rows: number): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await client.query(`set session_replication_role = replica`);
    await client.query(`set search_path = token_lifecycle`);
    for (const statement of statements(rows)) await client.query(statement);
    await client.query('vacuum analyze');
  });
}

const times = `version, created_at, updated_at`;
/** The n-th row is as many minutes old. */
const age = `now() - n * interval '1 minute'`;

function statements(rows: number): readonly string[] {
  const series = `generate_series(1, ${rows}) n`;
  const idOf = (kind: string): string =>
    `overlay(overlay(md5('${kind}-' || n) placing '4' from 13) placing '8' from 17)::uuid`;
  const isFormer = `n % 2 = 0`;
  return [
    `insert into credential (id, name, family, environment, account, terminal, secrets_sealed, state, ${times})
     select ${idOf('credential')}, 'removed-' || n, 'accept_payments', 'sandbox',
       '100100', n::text, 'sealed', 'removed', 2, ${age}, ${age}
     from generate_series(1, ${rows / 10}) n`,
    `insert into access_token (id, credential_id, generation, failures, state, ${times}, environment)
     select ${idOf('access-token')}, ${idOf('credential')}, 5, 0, 'none', 2, ${age}, ${age}, 'sandbox'
     from generate_series(1, ${rows / 10}) n`,
    `insert into tokenization (id, credential_id, account, terminal, merchant_reference_id, gateway_reference,
       abandoned_references, order_reference_id, customer_index, request_digest, request_sealed, currency, amount,
       methods, quickpay_id_index, redirect_address, notify_address, attempt, is_deadline_extended, reconcile_step,
       reconcile_at, expires_at, state, ${times})
     select ${idOf('tokenization')},
       c.id, c.account, c.terminal,
       'grown-' || n, case when n % 100 = 0 then 'again-' || n else 'grown-' || n end,
       case when n % 100 = 0 then jsonb_build_array('grown-' || n || '-lost') else '[]' end,
       'op-' || n, 'k1.customer-' || n, 'digest', repeat('sealed', 20), 'EUR', '1', 'Klarna', 'k1.quickpay-' || n,
       'redirect-' || n, 'notify-' || n, 1, false, 0,
       case s.state when 'active' then now() + interval '30 days' end, now() + interval '60 days', s.state, 3, ${age}, ${age}
     from (select n, case when ${isFormer} then (array['failed', 'expired', 'disabled', 'token_expired'])[1 + n / 2 % 4]
       else (array['active', 'active', 'active', 'failed', 'disabled'])[1 + n / 2 % 5] end as state from ${series}) s
     join credential c on c.family = 'accept_payments' and c.name = case when ${isFormer} then 'former' else 'default' end`,
    `insert into callback (id, channel, semantic_key, message_digest, body_sealed, body_bytes, account, terminal,
       merchant_reference_id, order_reference_id, tokenization_id, reason, seen_count, last_seen_at, received_at,
       state, is_believed, ${times})
     select ${idOf('callback')}, case n % 2 when 0 then 'notify' else 'redirect' end, 'key-' || n, 'digest-' || n, 'sealed', 300,
       c.account, c.terminal, 'grown-' || n, 'op-' || n,
       case when n % 10 > 2 then ${idOf('tokenization')} end,
       case n % 10 when 0 then 'unreadable' when 1 then 'unknown_account' when 2 then 'no_tokenization' end,
       1, ${age}, ${age}, case when n % 10 < 2 then 'rejected' when n % 10 = 2 then 'abandoned' else 'accepted' end, n % 10 > 2,
       case when n % 10 < 2 then 1 else 2 end, now(), now()
     from ${series}, credential c where c.family = 'accept_payments' and c.name = 'default'`,
    `insert into delivery (id, event_id, tokenization_id, event_type, sequence, status, attempt, state, ${times})
     select ${idOf('delivery')}, ${idOf('delivery')}, ${idOf('tokenization')}, 'tokenization.activated', 3, 'active', 1,
       'delivered', 2, ${age}, ${age} from ${series}`,
    `insert into dead_letter (id, queue, job_name, job_id, code, paths, attempts, redrives, state, ${times})
     select ${idOf('letter')}, 'notify', 'notify.handle', 'notify-' || n, 'internal', '[]', 1, 1, 'redriven', 2, ${age}, ${age}
     from ${series}`,
    `insert into access_token_read (access_token_id, credential, generation, actor_type, actor_id, reads, first_read_at, last_read_at)
     select ${idOf('access-token')}, 'default', 1, 'backend', 'shop', 1, ${age}, ${age} from ${series}`,
    ...['credential', 'access_token', 'tokenization', 'callback', 'delivery', 'dead_letter'].map(
      (entity) => `
        insert into audit_event (entity_type, entity_id, version, event, from_state, to_state, actor_type, actor_id, detail)
        select '${entity}', e.id, v, 'grown', case when v > 1 then 'earlier' end,
          case when v = e.version then e.state else 'earlier' end, 'worker', 'grown', '{}'
        from ${entity} e, generate_series(1, e.version) v
        where not exists (select from audit_event a where a.entity_type = '${entity}' and a.entity_id = e.id)`,
    ),
  ];
}
