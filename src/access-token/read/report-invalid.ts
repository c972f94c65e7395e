import { findAccessToken } from '../../db/access-tokens.ts';
import { findCredential } from '../../db/credentials.ts';
import type { Actor } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { refreshJob } from '../../domain/outbox-job.ts';
import { oldEnoughAtMs } from '../row.ts';

/**
 * What a report led to: an earlier renewal, or nothing, because the worker has replaced that
 * generation, is renewing it, or has its renewal due already.
 */
export type ReportResult = 'renewal_brought_forward' | 'ignored';

/**
 * A backend reports that the gateway refused (401) `generation`. The report brings the renewal of
 * the current generation forward, once; a report about an older one is ignored. A token younger
 * than a sixtieth of its life is renewed when it reaches that age, so a backend that is refused for
 * another reason can't flood the gateway with renewals. Throws `credential_not_found`.
 */
export async function reportInvalidToken(
  { db, door, settings }: BackendDependencies,
  credentialName: string,
  generation: number,
  actor: Actor,
): Promise<ReportResult> {
  const credential = await findCredential(db, credentialName, 'opcard');
  const row = credential?.state === 'active' ? await findAccessToken(db, credential.id) : undefined;
  if (row === undefined) {
    throw new AppError('credential_not_found', 'No active OPCard credential has this name.', {
      paths: ['credential'],
    });
  }
  if (row.generation !== generation || row.state !== 'fresh') return 'ignored';
  const now = row.read_at.getTime();
  const wantedAt = Math.max(now, oldEnoughAtMs(row, settings.accessToken));
  // An earlier report has set the same instant, so a generation is reported once.
  if (row.due_at !== null && row.due_at.getTime() <= wantedAt) return 'ignored';
  const outcome = await door.apply({
    entity: 'access_token',
    row,
    event: 'access_token.reported_invalid',
    patch: { due_at: new Date(wantedAt).toISOString() },
    audit: { actor, reason: 'reported_invalid', detail: { generation } },
    jobs: [
      {
        ...refreshJob(row.id, row.version + 1, credentialName, generation),
        delayMs: wantedAt - now,
      },
    ],
  });
  // `ignored` if another change of the row was first: after a renewal, an alarm or another report,
  // the renewal of this generation is done, under way or due.
  return outcome.isApplied ? 'renewal_brought_forward' : 'ignored';
}
