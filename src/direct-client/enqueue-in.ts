import { z } from 'zod';
import { TokenClientError, type TokenClientErrorCode } from '../client/client-error.ts';
import type { BackendJobName } from '../domain/payload/backend-jobs.ts';
import { type BackendPayload, withVersion } from './backend-payload.ts';

/** The caller's open transaction: a client of `pg`, or an object with the same `query`. */
export interface SqlTransaction {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** The options of an enqueue. */
export interface EnqueueOptions {
  /** The ordering key: the relay keeps the order of rows with one key. Use no personal data. */
  readonly key?: string;
  /**
   * Whether the commit notifies the relay; default true. Otherwise the relay finds the row at its
   * next poll, within a quarter of a second. Pass false in a two-phase commit, because PostgreSQL
   * can't `PREPARE` a transaction that notifies.
   */
  readonly isNotifying?: boolean;
}

const refusals: Readonly<Record<string, TokenClientErrorCode>> = {
  TL001: 'job_unknown',
  TL002: 'payload_invalid',
  TL003: 'payload_version_unsupported',
  TL004: 'body_too_large',
};

/**
 * Enqueues a job in the caller's transaction through `token_lifecycle.enqueue`, so that the job
 * commits or rolls back with it. The login needs only the role `token_lifecycle_enqueue`, and no
 * encryption key. Resolves to the id of the new tokenization or inbox row, and for other jobs to
 * the id of the job.
 *
 * Throws `TokenClientError` if the database refuses the payload. Any other database error passes
 * through, since only the caller knows whether to retry the transaction, but without the fields in
 * which PostgreSQL may quote the payload.
 */
export async function enqueueIn<Name extends BackendJobName>(
  transaction: SqlTransaction,
  jobName: Name,
  payload: BackendPayload<Name>,
  { key, isNotifying = true }: EnqueueOptions = {},
): Promise<string> {
  const versioned = withVersion(jobName, payload);
  if (!isNotifying) {
    await transaction.query("select set_config('token_lifecycle.notify', 'off', true)", []);
  }
  try {
    // A bind parameter, because PostgreSQL logs the text of a failing statement.
    const { rows } = await transaction.query(
      'select token_lifecycle.enqueue($1, $2::jsonb, $3) as id',
      [jobName, JSON.stringify(versioned), key ?? null],
    );
    return enqueued.parse(rows[0]).id;
  } catch (error) {
    throw refusalOf(error) ?? withoutQuotes(error);
  }
}

/** SQLSTATE class 22, such as 22P05, 22P02 and 22021 for NUL and unpaired surrogates in a text. */
const isDataException = (sqlState: string): boolean => sqlState.startsWith('22');
/**
 * The error fields in which PostgreSQL may quote parameters (`log_parameter_max_length_on_error`).
 */
const quotingFields = ['where', 'detail', 'internalQuery'] as const;

const enqueued = z.object({ id: z.uuid() });
const databaseFault = z.object({ code: z.string().length(5), message: z.string() });

/** Reads a refusal `<code>: <path>, <path>` of `token_lifecycle.enqueue`, or a data exception. */
function refusalOf(error: unknown): TokenClientError | undefined {
  for (const thrown of chainOf(error)) {
    const fault = databaseFault.safeParse(thrown).data;
    const code = fault && (isDataException(fault.code) ? 'payload_invalid' : refusals[fault.code]);
    if (fault === undefined || code === undefined) continue;
    const paths = fault.code.startsWith('TL')
      ? fault.message.slice(fault.message.indexOf(': ') + 2).split(', ')
      : [];
    return new TokenClientError('The database refused the payload.', {
      code,
      paths,
      isRetryable: false,
    });
  }
  return undefined;
}

/**
 * Removes the fields that may quote the payload from an error and its causes. It returns the same
 * object, since the caller looks at its class and code.
 */
function withoutQuotes(error: unknown): unknown {
  for (const fault of chainOf(error)) {
    for (const field of quotingFields) Reflect.deleteProperty(fault, field);
  }
  return error;
}

const causesMax = 8;

/** An error and its causes: query builders wrap PostgreSQL's error in their own. */
function chainOf(error: unknown): readonly Error[] {
  const chain: Error[] = [];
  let thrown = error;
  while (thrown instanceof Error && chain.length < causesMax) {
    chain.push(thrown);
    thrown = thrown.cause;
  }
  return chain;
}
