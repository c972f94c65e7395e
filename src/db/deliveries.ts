import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { DeliveryRow, WebhookEndpointRow } from './rows.ts';

/** The delivery with this id, if there is one. */
export async function findDelivery(db: Db, id: string): Promise<DeliveryRow | undefined> {
  return await db.selectFrom('delivery').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Deliveries whose next attempt is due, the longest overdue first. */
export async function findDueDeliveries(
  db: Db,
  rowsMax: number,
): Promise<readonly Pick<DeliveryRow, 'id' | 'version'>[]> {
  return await db
    .selectFrom('delivery')
    .select(['id', 'version'])
    .where('due_at', '<=', sql<Date>`statement_timestamp()`)
    .orderBy('due_at')
    .limit(rowsMax)
    .execute();
}

/** Deliveries, newest first. */
export async function listDeliveries(
  db: Db,
  state: DeliveryRow['state'] | undefined,
  rowsMax: number,
): Promise<readonly DeliveryRow[]> {
  const all = db.selectFrom('delivery').selectAll().orderBy('created_at', 'desc').limit(rowsMax);
  return await (state === undefined ? all : all.where('state', '=', state)).execute();
}

/** The webhook address with this id, if it was registered. */
export async function findWebhookEndpoint(
  db: Db,
  id: string,
): Promise<WebhookEndpointRow | undefined> {
  return await db
    .selectFrom('webhook_endpoint')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}
