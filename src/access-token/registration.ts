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

/** Makes the access-token row of an OPCard credential, due at once, where there is none; the credential's own job, or the scan, sees to it. */
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

/** The credential has a new secret: what the gateway refused before is tried again at once. */
export async function retryAccessToken(
  dependencies: Dependencies,
  { id, name }: Pick<CredentialRow, 'id' | 'name'>,
  actor: Actor,
): Promise<void> {
  await change(dependencies, id, name, actor, (row) =>
    row.state === 'suspended'
      ? { event: 'access_token.retried', patch: { due_at_in_ms: 0, failures: 0 }, isDue: true }
      : undefined,
  );
}

/**
 * Makes the row stand for the application that the credential names: where it holds another one's tokens they are forgotten and
 * a new one is due at once. Repeating it changes nothing.
 */
export async function resetIfAppChanged(
  dependencies: Dependencies,
  credential: OfCredential,
  actor: Actor,
): Promise<void> {
  await registerAccessToken(dependencies, credential, actor);
  const { id, name } = credential;
  await change(dependencies, id, name, actor, async (row) => {
    const present = await findCredentialById(dependencies.db, id);
    // Without an application it is as new; only that of a removed credential is not due.
    const isNew = row.app_key_index === null && row.due_at !== null;
    if (present?.state !== 'active' || isNew || !belongsToPreviousApp(row, present))
      return undefined;
    return {
      event: 'access_token.cleared',
      patch: { ...forgotten, environment: present.environment, due_at_in_ms: 0 },
      isDue: true,
    };
  });
}

/** The credential was removed: its tokens are forgotten and nothing is due any more. Repeating it changes nothing. */
export async function clearForRemovedCredential(
  dependencies: Dependencies,
  credential: OfCredential,
  actor: Actor,
): Promise<void> {
  const { id, name } = credential;
  const isActive = async (): Promise<boolean> =>
    (await findCredentialById(dependencies.db, id))?.state === 'active';
  await change(dependencies, id, name, actor, async (row) =>
    row.due_at === null || (await isActive())
      ? undefined
      : { event: 'access_token.cleared', patch: { ...forgotten, due_at: null }, isDue: false },
  );
  // Restored in that very moment: then it begins anew.
  if (await isActive()) await resetIfAppChanged(dependencies, credential, actor);
}

/** Whoever is renewing the token meanwhile finds the attempt gone, and its pair is not handed out. */
const forgotten = {
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

async function change(
  { db, door }: Dependencies,
  credentialId: string,
  name: string,
  actor: Actor,
  decide: (row: ReadAccessToken) => Change | undefined | Promise<Change | undefined>,
): Promise<void> {
  await retryOnStaleVersion(async () => {
    const row = await findAccessToken(db, credentialId);
    const decided = row && (await decide(row));
    if (row === undefined || decided === undefined) return 'nothing_to_do';
    const { event, patch, isDue } = decided;
    const outcome = await door.apply({
      entity: 'access_token',
      row,
      event,
      patch,
      audit: { actor, detail: { generation: row.generation } },
      jobs: isDue ? [refreshJob(row.id, row.version + 1, name, row.generation)] : [],
    });
    return outcome.isApplied ? 'applied' : undefined;
  });
}
