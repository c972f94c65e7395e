import { sql } from 'kysely';
import { credentialEnvironments } from '../domain/credential.ts';
import type { Db } from './database.ts';
import { isNotBuried } from './dead-letters.ts';
import type { AccessTokenRow } from './rows.ts';

/** A row with the instant it was read at, on the database's clock, against which its times are judged. */
export type ReadAccessToken = AccessTokenRow & { readonly read_at: Date };

/** The access token of a credential, if one is kept for it. */
export async function findAccessToken(
  db: Db,
  credentialId: string,
): Promise<ReadAccessToken | undefined> {
  return await db
    .selectFrom('access_token')
    .selectAll()
    .select(sql<Date>`clock_timestamp()`.as('read_at'))
    .where('credential_id', '=', credentialId)
    .executeTakeFirst();
}

/** What a reader has to know of an access token. Times in milliseconds, on the database's clock. */
export interface ReadableAccessToken extends Pick<
  AccessTokenRow,
  'id' | 'version' | 'generation' | 'access_token_sealed' | 'issued_at' | 'expires_at'
> {
  /** 0 or less: it has expired. */
  readonly leftMs: number;
  /** How long until a worker may renew it; 0 or less: it is due. */
  readonly nextAttemptInMs: number;
}

/**
 * The access token of an active OPCard credential, by the credential's name. A token of a previous application counts as none, and a
 * lease as an attempt that is under way.
 */
export async function findReadableAccessToken(
  db: Db,
  credential: string,
): Promise<ReadableAccessToken | undefined> {
  const { rows } = await sql<ReadableAccessToken>`
    select t.id, t.version, t.generation, t.issued_at, t.expires_at,
      case when app.is_former then null else t.access_token_sealed end as access_token_sealed,
      coalesce(extract(epoch from t.expires_at - clock_timestamp()) * 1000, 0)::double precision as "leftMs",
      case when t.state in ('refreshing', 'issuing') or app.is_former then 0
        else coalesce(extract(epoch from t.due_at - clock_timestamp()) * 1000, 0) end::double precision as "nextAttemptInMs"
    from credential c join access_token t on t.credential_id = c.id
    cross join lateral (
      select t.app_key_index is distinct from c.app_key_index or t.environment <> c.environment as is_former
    ) app
    where c.name = ${credential} and c.family = 'opcard' and c.state = 'active'`.execute(db);
  return rows[0];
}

/** An access token that has to be renewed now. */
export interface DueAccessToken {
  readonly id: string;
  readonly version: number;
  readonly generation: number;
  readonly credential: string;
}

/**
 * Access tokens whose renewal has come and which no live lease holds, `rowsMax` of each environment at most, those that run out first in front.
 *
 * Each environment is looked at by itself: where the gateway of one hangs, any number of its tokens are due and must not hide those of the other.
 * Within one, tokens that fail and those that do not take turns, or the ones that always fail, which run out first of all, would
 * be all that is ever found; never issued ones have every fifth place or so, since any number may be added at once. Tokens fall due about in the
 * order in which they run out; those with less than `endingMs` left, of which there are none while all is well, are looked for by
 * their end besides. What a removed credential has left behind is due too, to be forgotten.
 *
 * `statement_timestamp()` stands still within a statement: an index can't be searched by `clock_timestamp()`, and would be read to its
 * end each time, 9,931 buffers in place of 2 for 10,000 credentials.
 */
export async function findDueAccessTokens(
  db: Db,
  rowsMax: number,
  endingMs: number,
): Promise<readonly DueAccessToken[]> {
  const isDue = sql`environment = place.environment and due_at <= statement_timestamp()
    and (lease_until is null or lease_until <= statement_timestamp()) and ${isNotBuried('access_token', sql`'refresh'`)}`;
  const columns = sql`id, version, generation, credential_id, expires_at, due_at`;
  const { rows } = await sql<DueAccessToken>`
    select due.id, due.version, due.generation, c.name as credential
    from unnest(${[...credentialEnvironments]}::text[]) place (environment)
    cross join lateral (
      select *, row_number() over (partition by kind order by expires_at, due_at)
        * case kind when 'unissued' then 4 else 1 end as turn
      from (
        (select ${columns}, 'healthy' as kind from access_token where expires_at is not null and failures = 0 and ${isDue}
          order by due_at limit ${rowsMax})
        union
        (select ${columns}, 'healthy' from access_token where failures = 0 and ${isDue}
          and expires_at <= statement_timestamp() + ${endingMs} * interval '1 millisecond'
          order by expires_at limit ${rowsMax})
        union
        (select ${columns}, 'failing' from access_token where failures > 0 and expires_at is not null and ${isDue}
          order by expires_at limit ${rowsMax})
        union
        (select ${columns}, 'unissued' from access_token where expires_at is null and ${isDue}
          order by due_at limit ${rowsMax})
      ) found
      order by turn limit ${rowsMax}
    ) due
    join credential c on c.id = due.credential_id
    order by due.turn, due.expires_at`.execute(db);
  return rows;
}

/** An access token whose renewal is overdue and which is to raise an alarm. */
export interface OverdueAccessToken extends Pick<
  AccessTokenRow,
  'id' | 'version' | 'state' | 'generation' | 'failures'
> {
  readonly credential: string;
  /** The lowest of the shares of its life, in percent, that it has come down to. */
  readonly percent: number;
}

/**
 * Access tokens whose renewal fails, was begun `lateMs` ago without an end, or has not been begun `lateMs` after it was due, and which have
 * come down to a share of their life, in percent, that no alarm was raised for. All ways in are indexes that hold next to nothing while all is
 * well, so looking costs the same for ten credentials and for ten thousand.
 */
export async function findOverdueAccessTokens(
  db: Db,
  lateMs: number,
  alarmPercents: readonly number[],
  rowsMax: number,
): Promise<readonly OverdueAccessToken[]> {
  const isLate = sql`environment = any(${[...credentialEnvironments]})
    and due_at < statement_timestamp() - ${lateMs} * interval '1 millisecond'`;
  const { rows } = await sql<OverdueAccessToken>`
    select t.id, t.version, t.state, t.generation, t.failures, c.name as credential,
      alarm.percent
    from (
      select id from access_token where failures > 0
      union
      select id from access_token where expires_at is not null and failures = 0 and ${isLate}
      union
      select id from access_token where expires_at is null and ${isLate}
      union
      select id from access_token where renewing_since < statement_timestamp() - ${lateMs} * interval '1 millisecond'
        and state <> 'fresh'
    ) overdue
    join access_token t on t.id = overdue.id
    join credential c on c.id = t.credential_id and c.state = 'active'
    cross join lateral (
      select min(share) as percent from unnest(${[...alarmPercents]}::integer[]) share
      where t.expires_at is null
        or t.expires_at - statement_timestamp() <= (t.expires_at - t.issued_at) * share / 100
    ) alarm
    where alarm.percent < coalesce(t.alarm_percent, 101)
    order by t.expires_at nulls first
    limit ${rowsMax}`.execute(db);
  return rows;
}

/** Active OPCard credentials that have the same trouble with their access token. */
export interface AccessTokenTrouble {
  readonly trouble: 'suspended' | 'none' | 'run_out';
  readonly count: number;
  /** The first five, by name. */
  readonly names: readonly string[];
}

/** What is wrong with the access tokens of active credentials; nothing where all are valid and none is refused. */
export async function findAccessTokenTroubles(db: Db): Promise<readonly AccessTokenTrouble[]> {
  const { rows } = await sql<AccessTokenTrouble>`
    select trouble, count(*)::integer as count, (array_agg(name order by name))[1:5] as names
    from (
      select c.name, case
        when t.state = 'suspended' then 'suspended'
        when t.access_token_sealed is null or t.app_key_index is distinct from c.app_key_index
          or t.environment <> c.environment then 'none'
        when t.expires_at <= clock_timestamp() then 'run_out' end as trouble
      from credential c left join access_token t on t.credential_id = c.id
      where c.family = 'opcard' and c.state = 'active'
    ) of_each
    where trouble is not null
    group by trouble order by trouble`.execute(db);
  return rows;
}

/**
 * How many access tokens of active credentials are in each state, and the least life that any of these credentials has left. One without
 * a token, or with that of another application or environment, has none.
 */
export async function countAccessTokens(db: Db): Promise<{
  readonly states: Readonly<Record<string, number>>;
  /** In milliseconds; 0 or less where a credential has no valid token, undefined where no credential is active. */
  readonly leastLeftMs: number | undefined;
}> {
  const { rows } = await sql<{ state: string | null; count: number; leastLeftMs: number }>`
    select t.state, count(*)::integer as count,
      min(case when t.app_key_index is distinct from c.app_key_index or t.environment <> c.environment then 0
        else coalesce(extract(epoch from t.expires_at - clock_timestamp()) * 1000, 0) end)::double precision as "leastLeftMs"
    from credential c left join access_token t on t.credential_id = c.id
    where c.family = 'opcard' and c.state = 'active'
    group by t.state`.execute(db);
  const states = rows.flatMap(({ state, count }) => (state === null ? [] : [[state, count]]));
  return {
    states: Object.fromEntries(states),
    leastLeftMs: rows.length === 0 ? undefined : Math.min(...rows.map((row) => row.leastLeftMs)),
  };
}
