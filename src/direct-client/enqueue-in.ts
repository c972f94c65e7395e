import { z } from 'zod';
import { TokenClientError, type TokenClientErrorCode } from '../client/client-error.ts';
import type { BackendJobName } from '../domain/backend-jobs.ts';
import { type BackendPayload, withVersion } from './backend-payload.ts';

/** What statements of the caller's open transaction go through: a client of `pg`, or anything of that form. */
export interface SqlTransaction {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** How a job is enqueued. */
export interface EnqueueOptions {
  /** The ordering key: rows of one key are relayed in the order in which they were enqueued. No personal data. */
  readonly key?: string;
  /**
   * Whether the relay is woken by the commit; default true. Without it the relay finds the row by itself within a quarter of a
   * second. PostgreSQL can't `PREPARE` a transaction that notifies: two-phase commits say false here.
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
 * Enqueues a job inside the caller's own transaction, through `token_lifecycle.enqueue`: it commits and rolls back with it. The login needs the
 * role `token_lifecycle_enqueue` and nothing else, no key either. Resolves to the id of the tokenization, or of the inbox row, that a
 * new request or message becomes; to the id of the job otherwise.
 *
 * What was handed over is refused with `TokenClientError`; any other fault of the database is thrown as the caller's client threw
 * it, since only the caller knows whether to run the transaction again, but without the fields in which PostgreSQL may quote the payload.
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
    // A bind parameter: the text of a statement that fails is written into PostgreSQL's log.
    const { rows } = await transaction.query(
      'select token_lifecycle.enqueue($1, $2::jsonb, $3) as id',
      [jobName, JSON.stringify(versioned), key ?? null],
    );
    return enqueued.parse(rows[0]).id;
  } catch (error) {
    throw refusalOf(error) ?? withoutQuotes(error);
  }
}

/** SQLSTATE class 22, data exceptions: NUL, or half a character, is no text to PostgreSQL, which calls it 22P05, 22P02 or 22021. */
const isOfData = (sqlState: string): boolean => sqlState.startsWith('22');
/** The fields of a fault in which PostgreSQL may quote parameters, as `log_parameter_max_length_on_error` has it do. */
const quoting = ['where', 'detail', 'internalQuery'] as const;

const enqueued = z.object({ id: z.uuid() });
const databaseFault = z.object({ code: z.string().length(5), message: z.string() });

/** The function's own refusals: `<code>: <path>, <path>`. Whatever else PostgreSQL says may quote the payload. */
function refusalOf(error: unknown): TokenClientError | undefined {
  for (const thrown of chainOf(error)) {
    const fault = databaseFault.safeParse(thrown).data;
    const code = fault && (isOfData(fault.code) ? 'payload_invalid' : refusals[fault.code]);
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

/** The fault itself, since its owner looks at its class and code, without what may quote the payload; its causes likewise. */
function withoutQuotes(error: unknown): unknown {
  for (const fault of chainOf(error)) {
    for (const field of quoting) Reflect.deleteProperty(fault, field);
  }
  return error;
}

const causesMax = 8;

/** An error and its causes: a query builder's wrapper puts its own error around that of PostgreSQL. */
function chainOf(error: unknown): readonly Error[] {
  const chain: Error[] = [];
  let thrown = error;
  while (thrown instanceof Error && chain.length < causesMax) {
    chain.push(thrown);
    thrown = thrown.cause;
  }
  return chain;
}
