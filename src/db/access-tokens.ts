import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { AccessTokenRow } from './rows.ts';

/** The access token of a credential, if one is kept for it. */
export async function findAccessToken(
  db: Db,
  credentialId: string,
): Promise<AccessTokenRow | undefined> {
  return await db
    .selectFrom('access_token')
    .selectAll()
    .where('credential_id', '=', credentialId)
    .executeTakeFirst();
}

/** An access token that has to be renewed now. */
export interface DueAccessToken {
  readonly id: string;
  readonly version: number;
  readonly generation: number;
  readonly credential: string;
}

/** Access tokens whose renewal has come and which no live lease holds, the most urgent first. */
export async function findDueAccessTokens(
  db: Db,
  rowsMax: number,
): Promise<readonly DueAccessToken[]> {
  return await db
    .selectFrom('access_token as t')
    .innerJoin('credential as c', 'c.id', 't.credential_id')
    .select(['t.id', 't.version', 't.generation', 'c.name as credential'])
    .where('t.due_at', '<=', sql<Date>`clock_timestamp()`)
    .where('c.state', '=', 'active')
    .where((eb) =>
      eb.or([
        eb('t.lease_until', 'is', null),
        eb('t.lease_until', '<=', sql<Date>`clock_timestamp()`),
      ]),
    )
    .orderBy('t.due_at')
    .limit(rowsMax)
    .execute();
}
