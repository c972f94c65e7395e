import { type DatabaseConnection, Kysely, PostgresDialect, PostgresDriver } from 'kysely';
import type pg from 'pg';
import type { Db } from '../../../src/db/database.ts';
import type { Schema } from '../../../src/db/schema.ts';
import type { GatewayClient } from '../../../src/gateway/client.ts';

/**
 * Called at each point where a path waits for the world: before an effect is asked for (even numbers), and after it has taken place but
 * before the path hears of it (odd numbers). What dies between two of them dies as if at the second: nothing has happened in
 * between that anybody else could see.
 */
export type AtPoint = (point: number) => Promise<void>;

/** A database and a gateway whose every effect is an await point. */
export interface WatchedWorld {
  readonly db: Db;
  readonly gateway: GatewayClient;
  /** The effects so far, in order: operation `n` has the points `2n` and `2n + 1`. */
  readonly operations: readonly string[];
}

/** Watches every statement and every call of the gateway, whatever the code under test is: a new await is a new point. */
export function watchAwaitPoints(
  world: { readonly pool: pg.Pool; readonly gateway: GatewayClient },
  atPoint: AtPoint,
): WatchedWorld {
  const operations: string[] = [];
  const begin = async (): Promise<number> => {
    const operation = operations.push('unfinished') - 1;
    await atPoint(2 * operation);
    return operation;
  };
  const end = async (operation: number, label: string): Promise<void> => {
    operations[operation] = label;
    await atPoint(2 * operation + 1);
  };
  return {
    db: watchDatabase(world.pool, begin, end),
    gateway: watchGateway(world.gateway, begin, end),
    operations,
  };
}

type Begin = () => Promise<number>;
type End = (operation: number, label: string) => Promise<void>;

function watchGateway(gateway: GatewayClient, begin: Begin, end: End): GatewayClient {
  return new Proxy(gateway, {
    get(target, name: Extract<keyof GatewayClient, string>) {
      return async (...args: unknown[]) => {
        const operation = await begin();
        const reply: unknown = await Reflect.apply(target[name], target, args);
        await end(operation, name);
        return reply;
      };
    },
  });
}

/**
 * Pauses while no connection is held, so that any number of paths may stand still at once. A transaction counts as one effect: killed
 * inside, it was never there.
 */
function watchDatabase(pool: pg.Pool, begin: Begin, end: End): Db {
  let label = '';
  class WatchedDriver extends PostgresDriver {
    readonly #underWay = new Map<DatabaseConnection, number>();

    override async acquireConnection(): Promise<DatabaseConnection> {
      const operation = await begin();
      const connection = await super.acquireConnection();
      this.#underWay.set(connection, operation);
      return connection;
    }

    override async releaseConnection(
      connection: Parameters<PostgresDriver['releaseConnection']>[0],
    ): Promise<void> {
      const operation = this.#underWay.get(connection) ?? 0;
      await super.releaseConnection(connection);
      await end(operation, label);
    }
  }
  const dialect = new PostgresDialect({ pool });
  return new Kysely<Schema>({
    dialect: {
      createDriver: () => new WatchedDriver({ pool }),
      createAdapter: () => dialect.createAdapter(),
      createQueryCompiler: () => dialect.createQueryCompiler(),
      createIntrospector: (db) => dialect.createIntrospector(db),
    },
    log: ({ query }) => {
      label = labelOf(query.sql, query.parameters);
    },
  });
}

/** `read <table>` for a query, and the event for a change of a state. */
function labelOf(text: string, parameters: readonly unknown[]): string {
  const event = /"event":"([a-z_.]+)"/.exec(String(parameters[0]))?.[1];
  if (event !== undefined) return event;
  return `read ${/from "?([a-z_]+)/.exec(text)?.[1] ?? 'nothing'}`;
}
