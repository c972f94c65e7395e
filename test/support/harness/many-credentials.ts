import type { CredentialEnvironment } from '../../../src/domain/credential.ts';
import { onServer } from '../services/database.ts';

/**
 * The credentials to insert. Instants are SQL expressions, in which `i` is the number of the row.
 */
export interface ManyCredentials {
  readonly from?: number;
  readonly to: number;
  readonly dueAt: string;
  readonly expiresAt?: string;
  readonly failures?: number;
  readonly environment?: CredentialEnvironment;
}

/** Inserts credentials with one access token each, in realistic sizes and without audit rows. */
export async function insertCredentials(
  databaseUrl: string,
  {
    from = 1,
    to,
    dueAt,
    expiresAt = `now() + interval '1 hour'`,
    failures = 0,
    environment = 'sandbox',
  }: ManyCredentials,
): Promise<void> {
  await onServer(databaseUrl, async (client) => {
    await client.query(`
      set search_path = token_lifecycle;
      with c as (
        insert into credential (id, name, family, environment, secrets_sealed, app_key_index, state, version, created_at, updated_at)
        select gen_random_uuid(), 'many-' || i, 'opcard', '${environment}', repeat('x', 200), 'k1.index-' || i, 'active', 1, now(), now()
        from generate_series(${from}, ${to}) i
        returning id, substr(name, 6)::integer as i
      )
      insert into access_token (id, credential_id, environment, generation, access_token_sealed, refresh_token_sealed, issued_at,
        expires_at, due_at, failures, state, version, created_at, updated_at)
      select gen_random_uuid(), id, '${environment}', 1, repeat('x', 300), repeat('x', 300), now(),
        ${expiresAt}, ${dueAt}, ${failures}, 'fresh', 1, now(), now()
      from c;
      analyze credential, access_token`);
  });
}
