import type { Db } from '../../src/db/connection/database.ts';

/** The events of one entity, oldest first. */
export async function readAuditEvents(db: Db, entityId: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('audit_event')
    .select('event')
    .where('entity_id', '=', entityId)
    .orderBy('version')
    .execute();
  return rows.map(({ event }) => event);
}
