import type { z } from 'zod';
import { pathsOf } from '../domain/payload/payload-paths.ts';
import { TokenClientError } from './client-error.ts';

/** Parses a caller's input. Throws `payload_invalid` with the paths that failed and no values. */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: z.input<Schema>,
): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const paths = pathsOf(parsed.error.issues);
  throw new TokenClientError(`The input does not fit its schema (${paths.join(', ')}).`, {
    code: 'payload_invalid',
    paths,
    isRetryable: false,
  });
}

/**
 * Parses a client's options. Throws `config_invalid` with the names of wrong options, no values.
 */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  options: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const paths = pathsOf(parsed.error.issues);
  throw new TokenClientError(`These options are wrong: ${paths.join(', ')}.`, {
    code: 'config_invalid',
    paths,
    isRetryable: false,
  });
}
