import { randomUUID } from 'node:crypto';
import { findAccessToken, type ReadAccessToken } from '../db/access-tokens.ts';
import { findCredentialById } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { AccessTokenEvent } from '../domain/access-token.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { belongsToPreviousApp, noToken } from './row.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { refreshJob } from '../domain/outbox-job.ts';

type Dependencies = Pick<OperationDependencies, 'db' | 'door'>;
type OfCredential = Pick<CredentialRow, 'id' | 'name' | 'environment'>;

/**
 * Creates the access-token row of an OPCard credential, due at once, where there is none. The
 * credential's own job renews it.
 */
export async function registerAccessToken(
  { db, door }: Dependencies,
  { id: credentialId, environment }: Omit<OfCredential, 'name'>,
  actor: Actor,
): Promise<void> {
  if ((await findAccessToken(db, credentialId)) !== undefined) return;
  await door.apply({
    entity: 'access_token',
    row: { id: randomUUID(), version: 0, state: null },
    event: 'access_token.registered',
    patch: { credential_id: credentialId, environment, due_at_in_ms: 0 },
    audit: { actor },
  });
}

/** The credential has a new secret: the renewal of a suspended token is due at once. */
export async function retryAccessToken(
  dependencies: Dependencies,
  credential: Pick<CredentialRow, 'id' | 'name'>,
  actor: Actor,
): Promise<void> {
  await changeRow(dependencies, credential, actor, (row) =>
    row.state === 'suspended'
      ? { event: 'access_token.retried', patch: { due_at_in_ms: 0, failures: 0 }, isDue: true }
      : undefined,
  );
}

/**
 * Clears a row that holds the tokens of another application than the credential names; a new token
 * is then due at once. It is idempotent.
 */
export async function resetIfAppChanged(
  dependencies: Dependencies,
  credential: OfCredential,
  actor: Actor,
): Promise<void> {
  await registerAccessToken(dependencies, credential, actor);
  await changeRow(dependencies, credential, actor, async (row) => {
    const present = await findCredentialById(dependencies.db, credential.id);
    // A new row has no application yet. The row of a removed credential has none either, and is not
    // due.
    const isNew = row.app_key_index === null && row.due_at !== null;
    if (present?.state !== 'active' || isNew || !belongsToPreviousApp(row, present))
      return undefined;
    return {
      event: 'access_token.cleared',
      patch: { ...cleared, environment: present.environment, due_at_in_ms: 0 },
      isDue: true,
    };
  });
}

/** Clears the row of a removed credential; nothing is due any more. It is idempotent. */
export async function clearForRemovedCredential(
  dependencies: Dependencies,
  credential: OfCredential,
  actor: Actor,
): Promise<void> {
  const isActive = async (): Promise<boolean> =>
    (await findCredentialById(dependencies.db, credential.id))?.state === 'active';
  await changeRow(dependencies, credential, actor, async (row) =>
    row.due_at === null || (await isActive())
      ? undefined
      : { event: 'access_token.cleared', patch: { ...cleared, due_at: null }, isDue: false },
  );
  // The credential may have been restored between the check and the commit: then it needs a new
  // token.
  if (await isActive()) await resetIfAppChanged(dependencies, credential, actor);
}

/** Ends an attempt that is under way too: its fence no longer holds, so its pair is dropped. */
const cleared = {
  ...noToken,
  app_key_index: null,
  lease_owner: null,
  lease_until: null,
  attempt_id: null,
} as const;

interface Change {
  readonly event: AccessTokenEvent;
  readonly patch: Readonly<Record<string, unknown>>;
  readonly isDue: boolean;
}

async function changeRow(
  { db, door }: Dependencies,
  credential: Pick<CredentialRow, 'id' | 'name'>,
  actor: Actor,
  decide: (row: ReadAccessToken) => Change | undefined | Promise<Change | undefined>,
): Promise<void> {
  await retryOnStaleVersion(async () => {
    const row = await findAccessToken(db, credential.id);
    const change = row && (await decide(row));
    if (row === undefined || change === undefined) return 'unchanged';
    const { event, patch, isDue } = change;
    const { id, version, generation } = row;
    const outcome = await door.apply({
      entity: 'access_token',
      row,
      event,
      patch,
      audit: { actor, detail: { generation } },
      jobs: isDue ? [refreshJob(id, version + 1, credential.name, generation)] : [],
    });
    return outcome.isApplied ? 'applied' : undefined;
  });
}
