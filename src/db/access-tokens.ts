import { sql } from 'kysely';
import { credentialEnvironments } from '../domain/credential.ts';
import type { Db } from './connection/database.ts';
import { isNotBuried } from './dead-letters.ts';
import type { AccessTokenRow } from './rows.ts';

/**
 * A row with the instant at which it was read, on the database's clock: its times are compared with
 * that.
 */
export type ReadAccessToken = AccessTokenRow & { readonly read_at: Date };

/** The access token of a credential, if it has one. */
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

/** What a reader needs of an access token. Times in milliseconds, on the database's clock. */
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
 * The access token of an active OPCard credential, by the credential's name. The token of a
 * previous application is withheld. A renewal under way counts as an attempt at once.
 */
export async function findReadableAccessToken(
  db: Db,
  credential: string,
): Promise<ReadableAccessToken | undefined> {
  const { rows } = await sql<ReadableAccessToken>`
    select t.id, t.version, t.generation, t.issued_at, t.expires_at,
      case when app.is_of_previous_app then null else t.access_token_sealed end as access_token_sealed,
      coalesce(extract(epoch from t.expires_at - clock_timestamp()) * 1000, 0)::double precision as "leftMs",
      case when t.state in ('refreshing', 'issuing') or app.is_of_previous_app then 0
        else coalesce(extract(epoch from t.due_at - clock_timestamp()) * 1000, 0) end::double precision as "nextAttemptInMs"
    from credential c join access_token t on t.credential_id = c.id
    cross join lateral (
      select t.app_key_index is distinct from c.app_key_index or t.environment <> c.environment as is_of_previous_app
    ) app
    where c.name = ${credential} and c.family = 'opcard' and c.state = 'active'`.execute(db);
  return rows[0];
}

/** An access token that is due. */
export interface DueAccessToken {
  readonly id: string;
  readonly version: number;
  readonly generation: number;
  /** The credential's name. */
  readonly credential: string;
  /** Its place by urgency among the due tokens of its environment, from 0. */
  readonly position: number;
}

/**
 * Due access tokens that no live lease holds, most urgent first, `rowsMax` of each environment at
 * most.
 *
 * Each environment has a list of its own: while the gateway of one hangs, any number of its tokens
 * are due and must not hide those of the other. Within one, healthy and failing tokens alternate by
 * expiry, because tokens that always fail are the first to expire and would fill the list. Tokens
 * that were never issued have about every fifth place, since an operator may add any number
 * together. Tokens fall due about in the order of their expiry; those that expire within
 * `horizonMs` are found by their expiry as well. The token of a removed credential is due too: its
 * job clears it.
 *
 * `statement_timestamp()` is constant within a statement. An index can't be searched by
 * `clock_timestamp()`: for 10,000 credentials it would be read to its end, 9,931 buffers in place
 * of 2.
 */
export async function findDueAccessTokens(
  db: Db,
  rowsMax: number,
  horizonMs: number,
): Promise<readonly DueAccessToken[]> {
  const isDue = sql`environment = of_environment.name and due_at <= statement_timestamp()
    and (lease_until is null or lease_until <= statement_timestamp()) and ${isNotBuried('access_token', sql`'refresh'`)}`;
  const columns = sql`id, version, generation, credential_id, expires_at, due_at`;
  const { rows } = await sql<DueAccessToken>`
    select due.id, due.version, due.generation, c.name as credential, due.position
    from unnest(${[...credentialEnvironments]}::text[]) of_environment (name)
    cross join lateral (
      select *, (row_number() over (order by share, expires_at) - 1)::integer as position
      from (
        select *, row_number() over (partition by kind order by expires_at, due_at)
          * case kind when 'unissued' then 4 else 1 end as share
        from (
          (select ${columns}, 'healthy' as kind from access_token where expires_at is not null and failures = 0 and ${isDue}
            order by due_at limit ${rowsMax})
          union
          (select ${columns}, 'healthy' from access_token where failures = 0 and ${isDue}
            and expires_at <= statement_timestamp() + ${horizonMs} * interval '1 millisecond'
            order by expires_at limit ${rowsMax})
          union
          (select ${columns}, 'failing' from access_token where failures > 0 and expires_at is not null and ${isDue}
            order by expires_at limit ${rowsMax})
          union
          (select ${columns}, 'unissued' from access_token where expires_at is null and ${isDue}
            order by due_at limit ${rowsMax})
        ) found
      ) shared
      order by position limit ${rowsMax}
    ) due
    join credential c on c.id = due.credential_id
    order by due.position`.execute(db);
  return rows;
}

/** An access token whose overdue renewal raises an alarm. */
export interface OverdueAccessToken extends Pick<
  AccessTokenRow,
  'id' | 'version' | 'state' | 'generation' | 'failures'
> {
  readonly credential: string;
  /**
   * The lowest alarm threshold that its remaining life has reached, in percent of its whole life.
   */
  readonly percent: number;
}

/**
 * Access tokens whose life has fallen to a share that raised no alarm yet, and whose renewal fails,
 * was begun `lateMs` ago without an end, or was not begun `lateMs` after it was due. Each way in is
 * an index that is nearly empty in normal operation, so the cost does not grow with the number of
 * credentials.
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

/** The active OPCard credentials whose access token has the same problem. */
export interface AccessTokenTrouble {
  readonly trouble: 'suspended' | 'none' | 'run_out';
  readonly count: number;
  /** The first five, by name. */
  readonly names: readonly string[];
}

/** The problems of the access tokens of active credentials. */
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
 * How many access tokens of active credentials are in each state, and the least life that any of
 * these credentials has left. A credential without a token, or with the token of another
 * application or environment, has none left.
 */
export async function countAccessTokens(db: Db): Promise<{
  readonly states: Readonly<Record<string, number>>;
  /**
   * In milliseconds; 0 or less where a credential has no valid token, undefined where no credential
   * is active.
   */
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
