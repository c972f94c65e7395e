import type { z } from 'zod';
import type { ApiScope } from '../../domain/api-key.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import type { AccessTokenReader } from '../../access-token/read/reader.ts';
import type { TokenizationWaiters } from '../../tokenization/read/long-poll.ts';

/** The dependencies of route handlers. */
export interface ApiDependencies extends OperationDependencies {
  readonly waiters: TokenizationWaiters;
  readonly accessTokens: Pick<AccessTokenReader, 'read' | 'invalidate'>;
}

/** One authenticated and parsed request. */
export interface ApiRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Reads a header of the request by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  /** Adds a header to the answer. */
  readonly setHeader: (name: string, value: string) => void;
  /** The actor and the request id for the audit rows of this request. */
  readonly audit: AuditContext;
  /** Aborts when the client closes the connection. */
  readonly signal: AbortSignal;
}

/** A header that only this route reads. */
export interface ApiHeader {
  readonly name: string;
  readonly description: string;
}

/** The contract and the handler of one route. The OpenAPI document is made from the contract. */
export interface ApiRouteDefinition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
> {
  /** The operation's name in the OpenAPI document, which generated clients use as method name. */
  readonly operationId: string;
  readonly method: 'GET' | 'POST';
  /** The path below `/v1`, with parameters as `:name`. */
  readonly path: string;
  readonly scope: ApiScope;
  readonly tag: 'tokenizations' | 'callbacks' | 'dead letters' | 'access tokens' | 'credentials';
  readonly summary: string;
  readonly description?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly headers?: readonly ApiHeader[];
  readonly status: 200 | 202;
  readonly answer: Answer;
  /** The error codes of this route, besides those of every route. */
  readonly problems: readonly ErrorCode[];
  readonly handle: (
    request: ApiRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
    dependencies: ApiDependencies,
  ) => Promise<z.input<Answer>>;
}

/** A route without the types of its schemas, so that one list can hold all routes. */
export interface ApiRoute extends Omit<
  ApiRouteDefinition<z.ZodType, z.ZodType, z.ZodType, z.ZodType>,
  'handle'
> {
  readonly handleParsed: (
    request: ApiRequest<unknown, unknown, unknown>,
    dependencies: ApiDependencies,
  ) => Promise<unknown>;
}

/** Declares a route. The schemas give the types of `handle`. */
export function apiRoute<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
>(definition: ApiRouteDefinition<Params, Query, Body, Answer>): ApiRoute {
  return {
    ...definition,
    handleParsed: async (request, dependencies) =>
      await definition.handle(
        // The validator has replaced each part by the output of its schema.
        request as ApiRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
        dependencies,
      ),
  };
}
