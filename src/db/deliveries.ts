import { sql } from 'kysely';
import { newestByState } from './newest-by-state.ts';
import type { Db } from './connection/database.ts';
import { deliveryStates } from '../domain/delivery.ts';
import { isNotBuried } from './dead-letters.ts';
import type { DeliveryRow, WebhookEndpointRow } from './rows.ts';

/** The delivery with this id. */
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
    .where(isNotBuried('delivery', sql`'deliver'`))
    .orderBy('due_at')
    .limit(rowsMax)
    .execute();
}

/** Held deliveries without an earlier unsettled delivery of the same token, longest held first. */
export async function findReleasableDeliveries(
  db: Db,
  rowsMax: number,
): Promise<readonly Pick<DeliveryRow, 'id' | 'version' | 'state'>[]> {
  return await db
    .selectFrom('delivery as d')
    .select(['d.id', 'd.version', 'd.state'])
    .where('d.state', '=', 'held')
    .where(
      sql<boolean>`not exists (select from delivery earlier where earlier.tokenization_id = d.tokenization_id
        and earlier.sequence < d.sequence and earlier.state in ('pending', 'held'))`,
    )
    .orderBy('d.held_at')
    .limit(rowsMax)
    .execute();
}

/** Whether an earlier delivery of the same token was held at some time and is not settled yet. */
export async function hasEarlierUnsettledDelivery(
  db: Db,
  { tokenization_id, sequence }: Pick<DeliveryRow, 'tokenization_id' | 'sequence'>,
): Promise<boolean> {
  const row = await db
    .selectFrom('delivery')
    .select('id')
    .where('tokenization_id', '=', tokenization_id)
    .where('sequence', '<', sequence)
    .where('state', 'in', ['pending', 'held'])
    .where('held_at', 'is not', null)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Deliveries in `state`, or in any state, newest first. */
export async function listDeliveries(
  db: Db,
  state: DeliveryRow['state'] | undefined,
  rowsMax: number,
): Promise<readonly DeliveryRow[]> {
  const states = state === undefined ? deliveryStates : [state];
  const query = newestByState<DeliveryRow>('delivery', 'created_at', states, rowsMax);
  return (await query.execute(db)).rows;
}

/** The webhook endpoint with this id. */
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
