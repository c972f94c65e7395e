import { type Kysely, sql } from 'kysely';

/**
 * Requests for QuickPay IDs. `request_sealed` holds the request body (billing, customer, device),
 * `quickpay_id_sealed` the QuickPay ID. The `*_index` columns are keyed digests for look-ups.
 *
 * `reconcile_at` is when the scan takes the row up next. A finished row has none, so the partial
 * index `tokenization_due` holds open rows only and the scan does not slow down with history.
 * `expiry_notice_days` names the last expiry notice sent, in days before expiry, so that each
 * notice is sent once. `tokenization_merchant_reference` and `tokenization_state` serve the HTTP
 * API: a reference at any terminal, and a state, newest first.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.tokenization (
      id uuid primary key,
      credential_id uuid not null references token_lifecycle.credential (id),
      account text not null,
      terminal text not null,
      merchant_reference_id text not null,
      gateway_reference text not null,
      abandoned_references jsonb not null,
      order_reference_id text,
      customer_index text,
      request_digest text not null,
      request_sealed text not null,
      currency text not null,
      amount text not null,
      methods text not null,
      return_url text,
      redirect_url text,
      quickpay_id_sealed text,
      quickpay_id_index text,
      evidence_index text,
      review text,
      attempt integer not null,
      none_count integer not null,
      none_at timestamptz,
      is_deadline_extended boolean not null,
      deadline_at timestamptz,
      lease_until timestamptz,
      reconcile_step integer not null,
      reconcile_at timestamptz,
      expires_at timestamptz,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null,
      expiry_notice_days smallint,
      unique (account, terminal, merchant_reference_id)
    )`.execute(db);
  await sql`
    create index tokenization_due on token_lifecycle.tokenization (state, reconcile_at)
    where reconcile_at is not null`.execute(db);
  await sql`
    create index tokenization_gateway_reference
    on token_lifecycle.tokenization (gateway_reference)
    where gateway_reference <> merchant_reference_id`.execute(db);
  await sql`
    create index tokenization_order_reference
    on token_lifecycle.tokenization (order_reference_id) where order_reference_id is not null`.execute(
    db,
  );
  await sql`
    create index tokenization_quickpay_id
    on token_lifecycle.tokenization (quickpay_id_index) where quickpay_id_index is not null`.execute(
    db,
  );
  await sql`
    create index tokenization_customer
    on token_lifecycle.tokenization (customer_index) where customer_index is not null`.execute(db);
  await sql`
    create index tokenization_merchant_reference
    on token_lifecycle.tokenization (merchant_reference_id)`.execute(db);
  await sql`
    create index tokenization_state
    on token_lifecycle.tokenization (state, created_at desc, id desc)`.execute(db);
}
