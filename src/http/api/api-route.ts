import type { z } from 'zod';
import type { ApiScope } from '../../domain/api-key.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import type { AccessTokenReader } from '../../access-token/read/reader.ts';
import type { TokenizationWaiters } from '../../tokenization/read/long-poll.ts';

/** What the handlers of the API work with. */
export interface ApiDependencies extends OperationDependencies {
  readonly waiters: TokenizationWaiters;
  readonly accessTokens: Pick<AccessTokenReader, 'read' | 'invalidate'>;
}

/** One authenticated and parsed request. */
export interface ApiRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** A header of the request, by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  /** Adds a header to the answer. */
  readonly setHeader: (name: string, value: string) => void;
  /** Who asks and under which request id: what the audit rows of this request say. */
  readonly audit: AuditContext;
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal;
}

/** A header that a route reads besides those that all of them do. */
export interface ApiHeader {
  readonly name: string;
  readonly description: string;
}

/** The contract of one route, and its story. The OpenAPI document is made from the contract. */
export interface ApiRouteDefinition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
> {
  /** Names the operation in the OpenAPI document, and so the method of generated clients. */
  readonly operationId: string;
  readonly method: 'GET' | 'POST';
  /** Below `/v1`; parameters as `:name`. */
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
  /** Faults of its own, besides those that every route may answer with. */
  readonly problems: readonly ErrorCode[];
  readonly handle: (
    request: ApiRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
    dependencies: ApiDependencies,
  ) => Promise<z.input<Answer>>;
}

/** A route whose types are no longer known, as the list of routes holds it. */
export interface ApiRoute extends Omit<
  ApiRouteDefinition<z.ZodType, z.ZodType, z.ZodType, z.ZodType>,
  'handle'
> {
  readonly handleParsed: (
    request: ApiRequest<unknown, unknown, unknown>,
    dependencies: ApiDependencies,
  ) => Promise<unknown>;
}

/** Declares a route. What `handle` gets and returns is typed by the schemas. */
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
        // The validator has replaced each part by what its schema returned.
        request as ApiRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
        dependencies,
      ),
  };
}
