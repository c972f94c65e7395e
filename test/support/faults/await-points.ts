import { type DatabaseConnection, Kysely, PostgresDialect, PostgresDriver } from 'kysely';
import type pg from 'pg';
import type { Db } from '../../../src/db/connection/database.ts';
import type { Schema } from '../../../src/db/schema.ts';
import type { GatewayClient } from '../../../src/gateway/client.ts';

/**
 * Called at each point where the code under test awaits an external effect: before the effect (even
 * numbers), and after it but before the code gets the result (odd numbers). A process that dies
 * between two points leaves the same state as one that dies at the second, because no effect
 * happens in between.
 */
export type AtPoint = (point: number) => Promise<void>;

/** A database and a gateway whose statements and calls are await points. */
export interface WatchedWorld {
  readonly db: Db;
  readonly gateway: GatewayClient;
  /** The labels of the effects so far, in order. Effect `n` has the points `2n` and `2n + 1`. */
  readonly operations: readonly string[];
}

/** Makes every statement and every call of the gateway an await point. */
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
 * Pauses while the code holds no connection, so that any number of runs can pause at once. A
 * transaction is one effect, because PostgreSQL rolls it back if the process dies inside.
 */
function watchDatabase(pool: pg.Pool, begin: Begin, end: End): Db {
  let label = '';
  class WatchedDriver extends PostgresDriver {
    readonly #inFlight = new Map<DatabaseConnection, number>();

    override async acquireConnection(): Promise<DatabaseConnection> {
      const operation = await begin();
      const connection = await super.acquireConnection();
      this.#inFlight.set(connection, operation);
      return connection;
    }

    override async releaseConnection(
      connection: Parameters<PostgresDriver['releaseConnection']>[0],
    ): Promise<void> {
      const operation = this.#inFlight.get(connection) ?? 0;
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

/** The event of a transition, or `read <table>` for a query. */
function labelOf(text: string, parameters: readonly unknown[]): string {
  // A transition's audit rows are its second parameter.
  const event = /"event":"([a-z_.]+)"/.exec(String(parameters[1]))?.[1];
  if (event !== undefined) return event;
  return `read ${/from "?([a-z_]+)/.exec(text)?.[1] ?? 'nothing'}`;
}
