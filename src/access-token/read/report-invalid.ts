import { findAccessToken } from '../../db/access-tokens.ts';
import { findCredential } from '../../db/credentials.ts';
import { accessTokenWaits } from '../../domain/access-token-times.ts';
import type { Actor } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { refreshJob } from '../../domain/outbox-job.ts';

/** What a report led to: a renewal, or nothing, since that generation is over or its renewal is under way already. */
export type ReportResult = 'renewal_brought_forward' | 'ignored';

/**
 * A backend was refused (401) with generation `generation`. The renewal of the present generation is brought forward, once; a report about an
 * older one is ignored. A token that is younger than a sixtieth of its life is renewed when it has reached that age, so that a
 * backend which is refused for another reason can't make the worker hammer the gateway.
 * Throws `credential_not_found`.
 */
export async function reportInvalidToken(
  dependencies: BackendDependencies,
  credentialName: string,
  generation: number,
  actor: Actor,
): Promise<ReportResult> {
  // A hand-out is written to the same row at the very moment when a backend finds out that its token is refused.
  return await retryOnStaleVersion(
    async () => await reportOnce(dependencies, credentialName, generation, actor),
  );
}

async function reportOnce(
  { db, door, settings }: BackendDependencies,
  credentialName: string,
  generation: number,
  actor: Actor,
): Promise<ReportResult | undefined> {
  const credential = await findCredential(db, credentialName, 'opcard');
  const row = credential?.state === 'active' ? await findAccessToken(db, credential.id) : undefined;
  if (row === undefined) {
    throw new AppError('credential_not_found', 'No active OPCard credential has this name.', {
      paths: ['credential'],
    });
  }
  if (row.generation !== generation || row.state !== 'fresh') return 'ignored';
  const { spacingMs } = accessTokenWaits(settings.accessToken);
  const now = row.read_at.getTime();
  const wantedAt = Math.max(now, (row.issued_at?.getTime() ?? 0) + spacingMs);
  // What was reported before is due then, to the millisecond, so a generation is reported once.
  if (row.due_at !== null && row.due_at.getTime() <= wantedAt) return 'ignored';
  const outcome = await door.apply({
    entity: 'access_token',
    row,
    event: 'access_token.reported_invalid',
    patch: { due_at: new Date(wantedAt).toISOString() },
    audit: { actor, reason: 'reported_invalid', detail: { generation } },
    jobs: [refreshJob(row.id, row.version + 1, credentialName, generation, wantedAt - now)],
  });
  return outcome.isApplied ? 'renewal_brought_forward' : undefined;
}
